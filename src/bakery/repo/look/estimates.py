"""What the stages of a plan would take where nothing like it was measured: by the base's shape.

Texts are counted in characters: no tokenizer is loaded for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bakery import costs
from bakery.costs import Answers, Estimate, Pairs, Shape
from bakery.identity import BakeRequest
from bakery.records import ASK_A_MODEL, Prompt, asked_text
from bakery.repo.look.forecasts import BakeForecast, TargetForecast
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.shaping import FirstWeights
from bakery.variables import filled

CHARACTERS, MESSAGE = 4, 5
"""Of a token, and the tokens that a template writes around a message."""

QUESTION, SHORTEST = 16, 12
"""Tokens of a question that nobody has written yet, and of the shortest answers."""

ROW, ID = 160, 6
"""Bytes of an answer's row beside its text, and of each token's id."""

LONGEST = 3
"""Times as long as a usual answer is the longest that is not cut, where nobody says a limit."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A base model on this machine, which does `rate` operations a second."""

    shape: Shape
    rate: float


def estimated(
    plan: Plan,
    targets: tuple[TargetForecast, ...],
    bake: BakeForecast | None,
    machine: Machine,
    *,
    answer_tokens: float | None,
) -> dict[str, Estimate]:
    """Return what each stage takes that is not complete, as far as this model does it.

    Loading counts with the first of them. `answer_tokens` is how long earlier answers were.
    """
    found: dict[str, Estimate] = {}
    of_plan = {target.name: target for target in plan.targets}
    both = [(target, of_plan[target.name]) for target in targets]
    for stage, each in (
        ("stim", [_asking(t, p, plan, machine) for t, p in both]),
        ("rollout", [_answering(t, p, machine, answer_tokens) for t, p in both]),
        ("bake", [_baking(bake, plan.bake, both, machine, answer_tokens)]),
    ):
        known = [one for one in each if one is not None]
        if not known or len(known) < len(each):
            continue
        seconds = sum(one.seconds for one in known)
        if seconds and not any(one.seconds for one in found.values()):
            seconds += costs.loading(machine.shape)
        found[stage] = Estimate(seconds, max(one.memory for one in known))
    return found


def tokens_of(prompt: Prompt) -> float:
    """Return about how many tokens the messages of a prompt have."""
    texts = [str(message.get("content") or "") for message in prompt.messages]
    tools = [str(tool) for tool in prompt.tools or ()]
    return sum(len(text) / CHARACTERS + MESSAGE for text in (*texts, *tools))


def length_of_answers(most: int) -> float:
    """Return about how long answers are that may have `most` tokens: what is baked is short."""
    return min(float(most), SHORTEST + math.sqrt(most))


def row_bytes(tokens: float) -> float:
    """Return about how many bytes an answer of so many tokens takes in its file."""
    return ROW + tokens * (CHARACTERS + ID)


NOTHING = Estimate(0.0, 0)


def _asking(
    target: TargetForecast, planned: PlannedTarget, plan: Plan, machine: Machine
) -> Estimate | None:
    """Return what questions take; None: another model writes them, or nobody knows how many."""
    if target.stim.state == "complete":
        return NOTHING
    asked = [w for w in target.generators if w.type in ASK_A_MODEL]
    counts = [w.wanted for w in asked]
    if not asked:
        return NOTHING
    if None in counts or any(w.rest != plan.head.base.name for w in asked):
        return None
    count = sum(n for n in counts if n is not None) - target.stim.done
    embedded = plan.head.base.name.startswith("tiny-")
    prompt = 0.0 if embedded else tokens_of(planned.stim.teacher)
    spoken = Answers(max(count, 1), QUESTION, 64, MESSAGE, prompt)
    if embedded:
        return costs.sampling(machine.shape, machine.rate, replace(spoken, most_tokens=48))
    # What it says is weighed by how likely it is: that runs every question once more.
    weighed = replace(spoken, question=spoken.question + 2 * QUESTION)
    return costs.sampling(machine.shape, machine.rate, weighed, lists=1)


def _answering(
    target: TargetForecast, planned: PlannedTarget, machine: Machine, known: float | None
) -> Estimate | None:
    if target.rollout.state == "complete":
        return NOTHING
    if planned.rollout.model is not None or target.answers is None:
        return None
    tokens = length_of_answers(target.max_tokens) if known is None else known
    prompt = tokens_of(filled(planned.rollout.teacher, planned.stim.variables))
    own = prompt if planned.stim.variables else 0.0  # each row's own is read for it alone
    asked = Answers(
        max(target.answers - target.rollout.done, 1),
        tokens,
        target.max_tokens,
        own + _question(planned),
        prompt - own,
        _cut_at(planned, tokens),
    )
    return costs.sampling(machine.shape, machine.rate, asked)


def _cut_at(planned: PlannedTarget, tokens: float) -> int | None:
    """Return about where answers are cut, if some of them are to show it."""
    sampling = planned.rollout.sampling
    return min(sampling.max_tokens, round(LONGEST * tokens)) if sampling.probed else None


def _question(planned: PlannedTarget) -> float:
    """Return about how many tokens a question of a target has, with what is around it."""
    texts = list(_written(planned))
    each = [len(text) / CHARACTERS for text in texts] or [QUESTION]
    return sum(each) / len(each) + MESSAGE


def _written(planned: PlannedTarget) -> Iterator[str]:
    for generator in planned.stim.generators:
        for question in generator.get("questions", ()):
            yield asked_text(question)


def of_rounds(
    bake: BakeForecast | None,
    request: BakeRequest | None,
    both: list[tuple[TargetForecast, PlannedTarget]],
    machine: Machine,
    *,
    answer_tokens: float | None,
) -> tuple[float, float] | None:
    """Return the seconds of a look of `epochs: auto` and of the round behind it; None: unknown."""
    pairs = _pairs(bake, request, both, answer_tokens)
    if pairs is None:
        return None
    known = [target.questions for target, _ in both if target.questions is not None]
    questions = sum(known) if len(known) == len(both) else None
    look = costs.looking(machine.shape, machine.rate, pairs, questions=questions)
    return look, costs.round_of(machine.shape, machine.rate, pairs)


def _baking(
    bake: BakeForecast | None,
    request: BakeRequest | None,
    targets: list[tuple[TargetForecast, PlannedTarget]],
    machine: Machine,
    known: float | None,
) -> Estimate | None:
    if bake is not None and bake.state.state == "complete":
        return NOTHING
    pairs = _pairs(bake, request, targets, known)
    return None if pairs is None else costs.training(machine.shape, machine.rate, pairs)


def _pairs(
    bake: BakeForecast | None,
    request: BakeRequest | None,
    targets: list[tuple[TargetForecast, PlannedTarget]],
    known: float | None,
) -> Pairs | None:
    """Return what a bake learns; None: nobody knows how much."""
    if bake is None or request is None or bake.pairs is None or bake.global_batch is None:
        return None
    most = max((target.max_tokens for target, _ in targets), default=512)
    tokens = length_of_answers(most) if known is None else known
    most = max((_cut_at(p, tokens) or t.max_tokens for t, p in targets), default=most)
    questions = [_question(planned) for _, planned in targets] or [QUESTION + MESSAGE]
    student = max(tokens_of(filled(s.student, s.variables)) for s in request.shares)
    question = max(questions) + student
    fits: FirstWeights | None = request.training.first_weights
    return Pairs(
        learnt=bake.pairs,
        held_out=bake.held_out or 0,
        tokens=question + tokens,
        prompt=max(tokens_of(filled(s.teacher, s.variables)) for s in request.shares),
        most_tokens=round(question + most),
        epochs=bake.epochs,
        batch=bake.global_batch,
        micro_batch=min(request.micro_batch_size, bake.global_batch),
        rank=bake.r,
        fitted_tokens=fits.most_tokens if fits is not None else 0,
    )
