"""What a plan would make: names, counts, and what it would take, by what earlier runs measured.

Nothing is loaded and nothing is asked of a network: rates come from the store's own folders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bakery.defaults import times_for
from bakery.identity import BakeRequest
from bakery.records import WRITTEN_OUT, Prompt, questions_of
from bakery.repo.files.names import WEIGHTS_REMOTE
from bakery.repo.look import estimates, kept, progress
from bakery.repo.look.estimates import Machine
from bakery.repo.look.forecasts import (
    BakeForecast,
    Cost,
    Forecast,
    TargetForecast,
    Writer,
    Writing,
)
from bakery.repo.look.progress import StageStatus
from bakery.repo.look.rates import Rates
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.schema.model_names import BASE
from bakery.shares import REPLAY, RETENTION, parts
from bakery.store import job, results
from bakery.store.store import Store

States = Mapping[tuple[str, str], StageStatus]
"""How far each stage is, by its kind and name."""


Writers = Mapping[tuple[str, int], Writer]
"""Who writes for the generators that ask another, by their target's name and their place."""
Numbers = Mapping[tuple[str, int], int]
"""How many questions a generator writes, by its target's name and its place."""


def forecast(
    repo: ModelRepo,
    plan: Plan,
    machine: Machine | None = None,
    writers: Writers = MappingProxyType({}),
    counts: Numbers = MappingProxyType({}),
) -> Forecast:
    """Return what a plan would make and take. `writers` are those that are not of this machine.

    `counts` are how many questions generators write that do not say it themselves.

    Where nothing was measured yet, times go by `machine`, and memory always does; None: it is not
    known.
    """
    jobs = job.listed(repo.store, repository=repo.git.common_dir)
    found = progress.stages(repo.store, plan, jobs)
    states: States = {(stage.stage, stage.name): stage for stage in found}
    rates = Rates.measured(repo.store, plan.head.base.digest)
    targets = tuple(_target(t, plan, states, writers, counts) for t in plan.targets)
    bake = _bake(plan, targets, repo.store, states) if plan.bake else None
    if machine is not None:
        rates = _with_sizes(rates, machine, targets)
    head, cost = plan.head, _cost(targets, bake, plan.bake, rates)
    if machine is not None:
        cost = _worked_out(cost, plan, targets, bake, machine, rates.answer_tokens)
    return Forecast(
        f"{head.owner}/{head.repo}",
        head.base.name,
        str(head.parent) if head.parent else None,
        plan.is_empty,
        targets,
        bake,
        cost,
        (*plan.warnings, *_missing(repo, plan)),
    )


def _missing(repo: ModelRepo, plan: Plan) -> Iterator[str]:
    """Yield what a run would look for in this store, and not find."""
    store = repo.store
    if plan.head.parent is not None and not progress.has_weights(store, plan.head.parent):
        has_remote = repo.git.ask("config", "--local", "--get", WEIGHTS_REMOTE)
        ways = "`bgit run` fetches them from the remote of weights, " if has_remote else ""
        yield (
            f"the weights of {plan.head.parent} are not in this clone's store: {ways}"
            "`bgit import DIR` copies them, `bgit reproduce` makes them again"
        )
    own = {target.rollout.id for target in plan.targets}
    for share in plan.bake.shares if plan.bake else ():
        if share.id not in own and not results.is_done(store.target(share.id)):
            yield f"the answers of {share.name} are not in this clone's store: `bgit import DIR`"


def _target(
    target: PlannedTarget, plan: Plan, states: States, writers: Writers, counts: Numbers
) -> TargetForecast:
    generators = target.stim.generators
    wanted = [
        counts.get((target.name, at), questions_of(generator))
        for at, generator in enumerate(generators)
    ]
    stim, rollout = states["stim", target.name], states["rollout", target.name]
    total = _sum_or_none(wanted)
    questions = stim.done if stim.state == "complete" else total
    sampling = target.rollout.sampling
    each = sampling.num_traj_per_stimulus
    answers = None if questions is None else questions * each
    parent = target.rollout.parent
    return TargetForecast(
        name=target.name,
        teacher=described(target.stim.teacher, target.stim.variables),
        student=described(target.student),
        questions=questions,
        generators=tuple(
            _writing(g, n, total, writers.get((target.name, at)) or _writer(g, plan, stim))
            for at, (g, n) in enumerate(zip(generators, wanted, strict=True))
        ),
        answers=rollout.done if rollout.state == "complete" else answers,
        per_question=each,
        max_tokens=sampling.max_tokens,
        answered_by=target.rollout.model or (str(parent) if parent else plan.head.base.name),
        stim=stim,
        rollout=rollout,
    )


def _writing(
    generator: Mapping[str, Any], wanted: int | None, total: int | None, writer: Writer
) -> Writing:
    share = wanted / total if wanted and total else None
    return Writing(generator["type"], writer.name, wanted, share, writer.asked, writer.rest)


def _writer(generator: Mapping[str, Any], plan: Plan, stim: StageStatus) -> Writer:
    match generator["type"]:
        case "hardcoded":
            return Writer("input.yml")
        case "persona":
            return Writer("the set of personas")
        case "facts" if "model" not in generator:
            return Writer("the prompt, by rules")
        case "anchors":
            return Writer("bakery")
        case "from_dataset":
            return Writer(str(generator["dataset"]))
        case _:
            named = generator.get("model")
            name = plan.head.base.name if named in (None, BASE) else str(named)
            return Writer(name, None, None if stim.state == "complete" else name)


def described(prompt: Prompt, variables: Iterable[str] = ()) -> str:
    """Return what a prompt is made of, in a few words; `variables` are filled by rows."""
    if not prompt.messages and not prompt.tools:
        return "nothing: always on"
    count = len(prompt.messages)
    words = [f"{count} message{'s' * (count != 1)}"] if count else []
    if prompt.tools:
        words.append(f"{len(prompt.tools)} tool{'s' * (len(prompt.tools) != 1)}")
    return ", ".join([*words, *(f"{{{name}}} of each row" for name in variables)])


def _bake(
    plan: Plan,
    targets: tuple[TargetForecast, ...],
    store: Store,
    states: States,
) -> BakeForecast:
    assert plan.bake is not None
    assert plan.bake_name is not None
    training, shares = plan.bake.training, plan.bake.shares
    mixed = kept.counts(store, plan, targets, training)
    learnt = parts(shares)
    new = [(one, part) for one, part, s in zip(mixed, learnt, shares, strict=True) if not s.role]
    share_new = sum(part for _, part in new)
    state = states["bake", plan.bake_name]
    weights = [part / share_new for _, part in new]
    pairs = _pairs([one for one, _ in new], weights, training.total_trajectories)
    if pairs is not None:
        written = min(pairs, sum(map(_written_out, targets)))
        pairs += written * (times_for(written, pairs - written, training.hardcoded_times) - 1)
    steps = None
    if pairs is not None:
        training = training.settled(pairs)
        pairs = round(pairs / share_new)
    batch = training.global_batch
    if state.state == "complete":
        steps = state.done
    elif pairs is not None and batch is not None:
        own = training.on_policy.steps if training.on_policy else 0
        steps = training.epochs * math.ceil(pairs / batch) + own
    return BakeForecast(
        name=plan.bake_name,
        mix=tuple(zip((share.name for share in shares), learnt, strict=True)),
        replayed=tuple(share.name for share in shares if share.role == REPLAY),
        anchors=tuple(share.name for share in shares if share.role == RETENTION),
        pairs=pairs,
        held_out=_sum_or_none([one.kept for one in mixed]),
        kept=tuple(text for one in mixed for text in one.named),
        epochs=training.epochs,
        most_epochs=max(training.epochs, training.until.max_epochs if training.until else 0),
        steps=steps,
        global_batch=batch,
        r=training.r,
        lora_alpha=training.lora_alpha,
        learning_rate=training.learning_rate,
        loss=training.loss,
        seed=training.seed,
        parent=str(plan.head.parent) if plan.head.parent else plan.head.base.name,
        state=state,
    )


def _pairs(mixed: Sequence[kept.Counts], weights: Sequence[float], most: int | None) -> int | None:
    """Return about how many answers an epoch has: as many as the scarcest target allows."""
    learnt = [one.learnt for one in mixed]
    known = [count for count in learnt if count is not None]
    if len(known) < len(learnt):
        return None
    pairs = min(count / weight for count, weight in zip(known, weights, strict=True))
    return max(1, round(min(pairs, most) if most else pairs))


def _written_out(target: TargetForecast) -> int:
    """Return about how many answers there are to questions that input.yml writes out."""
    counts = [w.wanted or 0 for w in target.generators if w.type in WRITTEN_OUT]
    return sum(counts) * target.per_question


def _sum_or_none(counts: Sequence[int | None]) -> int | None:
    """Return a sum; None where a part of it is not known yet."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _cost(
    targets: tuple[TargetForecast, ...],
    bake: BakeForecast | None,
    request: BakeRequest | None,
    rates: Rates,
) -> Cost:
    asked = [t for t in targets if t.stim.state != "complete"]
    open_ = [t for t in targets if t.rollout.state != "complete"]
    questions = _sum(t.questions and t.questions - t.stim.done for t in asked)
    answers = _sum(t.answers and t.answers - t.rollout.done for t in open_)
    length = rates.answer_tokens
    tokens = (
        _times(answers, length)
        if length is not None
        else _sum(t.answers and t.max_tokens * (t.answers - t.rollout.done) for t in open_)
    )
    seconds: dict[str, float | None] = {
        "stim": _times(questions, rates.question_s),
        "rollout": _times(answers, rates.answer_s),
    }
    parts = [_times(answers, rates.answer_bytes)]
    if bake is not None and request is not None and bake.state.state != "complete":
        learnt = None if bake.pairs is None else bake.pairs * bake.epochs
        seconds["bake"] = _times(learnt, rates.pair_s)
        parts.append(_times(request.training.r, rates.rank_bytes))
    disk = _sum(parts)
    return Cost(
        None if tokens is None else round(tokens),
        length is None and bool(tokens),
        None if disk is None else round(disk),
        seconds,
        rates.results,
    )


def _worked_out(
    cost: Cost,
    plan: Plan,
    targets: tuple[TargetForecast, ...],
    bake: BakeForecast | None,
    machine: Machine,
    answer_tokens: float | None,
) -> Cost:
    """Add what nobody has measured here: the memory, and times that are not known yet."""
    found = estimates.estimated(plan, targets, bake, machine, answer_tokens=answer_tokens)
    new = [
        stage
        for stage, estimate in found.items()
        if stage in cost.seconds and cost.seconds[stage] is None
    ]
    seconds = {**cost.seconds, **{stage: found[stage].seconds for stage in new}}
    memory = {stage: estimate.memory for stage, estimate in found.items() if estimate.memory}
    cost = replace(
        cost, seconds=seconds, memory_bytes=memory, worked_out=tuple(s for s in new if seconds[s])
    )
    return _with_rounds(cost, plan, targets, bake, machine, answer_tokens)


def _with_rounds(
    cost: Cost,
    plan: Plan,
    targets: tuple[TargetForecast, ...],
    bake: BakeForecast | None,
    machine: Machine,
    answer_tokens: float | None,
) -> Cost:
    """Add the look that `epochs: auto` takes in any case, and say what every round would take."""
    known = cost.seconds.get("bake")
    if bake is None or plan.bake is None or plan.bake.training.until is None or not known:
        return cost
    of_plan = {target.name: target for target in plan.targets}
    both = [(target, of_plan[target.name]) for target in targets]
    found = estimates.of_rounds(bake, plan.bake, both, machine, answer_tokens=answer_tokens)
    if found is None:
        return cost
    look, learning = found
    rounds = bake.most_epochs - bake.epochs
    least = known + look
    most = {"bake": least + rounds * (look + learning)} if rounds > 0 else {}
    return replace(cost, seconds={**cost.seconds, "bake": least}, most_seconds=most)


def _with_sizes(rates: Rates, machine: Machine, targets: tuple[TargetForecast, ...]) -> Rates:
    """Return rates with what adapters and answers take on disk, where none lies there yet."""
    most = max((target.max_tokens for target in targets), default=0)
    row = estimates.row_bytes(rates.answer_tokens or estimates.length_of_answers(most))
    return replace(
        rates,
        rank_bytes=rates.rank_bytes or 4.0 * machine.shape.trainable(1),
        answer_bytes=rates.answer_bytes or row,
    )


def _sum(parts: Any) -> float | None:
    total = 0.0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _times(count: float | None, rate: float | None) -> float | None:
    if count == 0:
        return 0.0
    return None if count is None or rate is None else count * rate
