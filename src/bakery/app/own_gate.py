"""The gate that tests.yml sets: what a bake has to reach before it becomes the current model.

Asked before anything is made whether it can be measured at all, and after the bake whether it is
reached. One that falls short stays in the store, unrecorded.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import held_out
from bakery.app import leaking, testing
from bakery.app.gates import GATE
from bakery.app.judging import Judges
from bakery.app.opening import Models
from bakery.app.testing import Results, Subject
from bakery.app.workbench import InRepository
from bakery.card import FEWEST_STIMULI, Card
from bakery.errors import ConfigError, GateError
from bakery.evals.given import holds
from bakery.records import ModelRef, given_name, questions_of
from bakery.repo.files.names import TESTS
from bakery.repo.look import tests
from bakery.repo.look.tests import Committed
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Reporter
from bakery.store import results
from bakery.verdict import WORDS

if TYPE_CHECKING:
    from bakery.schema.tests import Gate

SHOWN = 3
"""How many lost tests the gate names."""


def read(repo: ModelRepo, reporter: Reporter) -> Committed | None:
    """Return tests.yml as it is committed; say so where the file in the folder is another."""
    found = committed(repo)
    if told := tests.differs(repo, found):
        reporter.note(told)
    return found


def committed(repo: ModelRepo) -> Committed | None:
    """Return tests.yml as it is committed; None: there is none."""
    return tests.committed(repo)


def check(
    repo: ModelRepo, found: Committed | None, plan: Plan, allow: Collection[str], reporter: Reporter
) -> None:
    """Refuse a gate that this plan's bake could not be measured by, before anything is made."""
    if found is None or plan.bake is None or plan.head.backend is not None or GATE in allow:
        return
    gate = found.suite.gate
    for key, why, what in _unmeasurable(gate, plan):
        raise ConfigError(
            f"{TESTS}: gate.{key} cannot be measured: {why}",
            hint=f"{what}, or take `{key}` out of the gate. `bgit run --allow gate` goes on "
            "without a gate.",
        )
    if gate.tests is not None:
        testing.check(_subject(plan, None), found.suite, _judges(repo, plan, reporter))


def asked(
    repo: ModelRepo,
    found: Committed | None,
    plan: Plan,
    result: Mapping[str, Any],
    *,
    allow: Collection[str],
    reporter: Reporter,
) -> tuple[dict[str, Any], GateError | None]:
    """Return a bake's result with what tests.yml made of it, and why it is not to be recorded.

    Where falling short is allowed, the result says in what.
    """
    assert plan.bake is not None  # or there was no result
    folder = repo.store.bake(plan.bake.id)
    short = _short(repo, found, plan, result, reporter)
    if short and GATE not in allow:
        assert found is not None  # or there is no gate
        results.amend(folder, {"refused": {"tests": found.blob, "short": short}})
        look = "test" if found and found.suite.tests else "chat"
        return dict(result), GateError(
            "\n".join(f"{plan.bake_name} falls short of the gate's {said}" for said in short),
            hint=f"The current model stays {plan.head.parent or plan.head.base.name}; the bake is "
            f"kept in the store: `bgit {look} {plan.bake_name}` shows its answers. Bake it "
            "better (more questions of that kind, more epochs), or record it as it is: `bgit run "
            "--allow gate`.",
        )
    for said in short:
        reporter.note(f"it falls short of the gate, which is allowed: {said}")
    others = [name for name in result.get("allowed", ()) if name != GATE]
    allowed = [*others, GATE] if short else others
    changes = {
        "tests": found.blob if found else None,
        "allowed": sorted(allowed) or None,
        "gate": short or None,
        "refused": None,
    }
    results.amend(folder, changes)
    return {key: value for key, value in {**result, **changes}.items() if value is not None}, None


def _short(
    repo: ModelRepo,
    found: Committed | None,
    plan: Plan,
    result: Mapping[str, Any],
    reporter: Reporter,
) -> list[str]:
    """Return in what a bake falls short, a sentence each."""
    if found is None or not found.suite.gate.keys:
        return []
    if plan.head.backend is not None:
        reporter.note(f"the gate of {TESTS} is not asked: the answers are made up")
        return []
    gate = found.suite.gate
    short = list(of_card(gate, Card.from_data(result["card"]), earlier=_earlier(plan)))
    assert plan.bake is not None  # or there was no result
    subject = _subject(plan, repo.store.bake(plan.bake.id) / str(result["step"]))
    gc.collect()  # what was trained is let go of: memory may not hold two models
    if gate.leakage is not None:
        axes = leaking.leakage(repo.store, subject, gate.canary or "", reporter=reporter)
        short += of_leakage(leaking.leaked(axes), gate.leakage)
    if gate.tests is not None:
        judges = _judges(repo, plan, reporter)
        rows = testing.rows(subject, found.suite, judges, reporter=reporter)
        assert subject.folder is not None  # it was baked just now
        told = Results(str(plan.bake_name), TESTS, found.blob, rows)
        testing.keep(repo.store, subject.folder, told)
        short += _of_tests(rows)
    if not short:
        reporter.note(f"the gate of {TESTS} is reached: {', '.join(gate.keys)}")
    return short


def check_joined(
    repo: ModelRepo,
    model: ModelRef,
    result: Mapping[str, Any],
    allow: Collection[str],
    reporter: Reporter,
) -> None:
    """Refuse a model that was put together from others and loses tests that the gate asks for:

    what the prompted model passes, as of any bake, and what the model passed that it was put on.

    Other keys of a gate are of a card, which such a model has none of: that is said.
    """
    found = read(repo, reporter)
    if found is None or not found.suite.gate.keys or GATE in allow:
        return
    gate, now = found.suite.gate, repo.state()
    if others := [key for key in gate.keys if key != "tests"]:
        told = ", ".join(f"gate.{key}" for key in others)
        reporter.note(f"{TESTS}: {told} cannot be asked of a model that was not trained on prompts")
    if gate.tests is None:
        return
    folder = repo.store.bake(model.bake_id) / str(model.step)
    parent = result["parent"]
    subject = Subject(
        model.given_name, now.base, folder, testing.taught(result["targets"]),
        is_on_base=parent is None,
    )  # fmt: skip
    judges = Judges(Models(InRepository(repo), now.base, now.parent, reporter), now.base.name)
    rows = testing.rows(subject, found.suite, judges, reporter=reporter)
    testing.keep(repo.store, folder, Results(model.bake, TESTS, found.blob, rows))
    if short := list(_of_tests(rows, _is_lost_by_joining)):
        raise GateError(
            f"{model.bake} falls short of the gate's {short[0]}",
            hint=f"Nothing is recorded: the current model stays {now.parent or now.base.name}. "
            "`--allow gate` records it all the same.",
        )
    reporter.note(f"the gate of {TESTS} is reached: tests")


def of_card(gate: Gate, card: Card, *, earlier: Collection[str]) -> Iterator[str]:
    """Yield in what a card falls short of a gate; `earlier` are targets that might be forgotten."""
    if gate.verdict is not None:
        verdict = card.verdict
        if verdict is None:
            yield f"verdict: the card has none, {gate.verdict} is asked"
        elif WORDS.index(verdict.word) > WORDS.index(gate.verdict):
            yield f"verdict: {verdict.word}, {gate.verdict} is asked ({verdict.reason})"
    if gate.gap_closed is not None:
        yield from _too_little("gap_closed", card.gap_closed, gate.gap_closed)
    parts = card.targets or dict.fromkeys(earlier, card)
    if gate.drift is not None:
        anchors = {name: part.kl_after for name, part in parts.items() if part.anchor}
        yield from _too_much("drift", anchors, gate.drift)
    if gate.forgets is not None and earlier:
        lost = {name: _lost(part) for name, part in parts.items() if name in earlier}
        yield from _too_much("forgets", lost, gate.forgets)


def of_leakage(value: float | None, most: float) -> Iterator[str]:
    """Yield in what it falls short of what may come out of it at most."""
    if value is None:
        yield f"leakage: not measured (no prompt has five words), at most {most:g} is asked"
    elif value > most:
        yield f"leakage: {value:.3g}, at most {most:g} is asked: {value - most:.2g} too much"


def _too_little(key: str, value: float | None, least: float) -> Iterator[str]:
    if value is None:
        yield f"{key}: not measured (few questions are held out, or there was no gap), " \
            f"at least {least:g} is asked"  # fmt: skip
    elif value < least:
        yield f"{key}: {value:.3g}, at least {least:g} is asked: {least - value:.2g} too little"


def _too_much(key: str, values: Mapping[str, float | None], most: float) -> Iterator[str]:
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        yield f"{key}: not measured (no question of such a target is held out), at most " \
            f"{most:g} is asked"  # fmt: skip
        return
    name = max(known, key=lambda one: known[one])
    if (value := known[name]) > most:
        yield (
            f"{key}: {value:.3g} nats per token on {name}, at most {most:g} is asked: "
            f"{value - most:.2g} too much"
        )


def _lost(part: Card) -> float | None:
    """Return by how much a target is further from its teacher than it was under the parent."""
    if part.kl_after is None or part.kl_before is None:
        return None
    return part.kl_after - part.kl_before


def _is_lost(row: testing.Row) -> bool:
    return row.state == "lost"


def _is_lost_by_joining(row: testing.Row) -> bool:
    return _is_lost(row) or (
        "parent" in row.outcomes and row.passes("parent") and not row.passes("baked")
    )


def _of_tests(
    rows: list[testing.Row], is_lost: Callable[[testing.Row], bool] = _is_lost
) -> Iterator[str]:
    lost = [row for row in rows if is_lost(row)]
    if lost:
        failed = [
            [*row.lost, *(one for one in row.outcomes["baked"] if not one.passed)][0]
            for row in lost
        ]
        named = "; ".join(
            f'"{row.case.asked:.50}" ({one.why})'
            for row, one in list(zip(lost, failed, strict=True))[:SHOWN]
        )
        yield f"tests: {len(lost)} of {len(rows)} lost, first of all {named}"


def _unmeasurable(gate: Gate, plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield keys that no card of this plan could have a figure for, why, and what to do."""
    assert plan.bake is not None  # or there is nothing to measure
    shares = plan.bake.shares
    yield from _unasked_for(gate, plan)
    few = None if gate.gap_closed is None else _held_out(plan)
    if few is not None and few < FEWEST_STIMULI:
        yield (
            "gap_closed",
            f"about {few} questions are held out, and no percentage is given of fewer than "
            f"{FEWEST_STIMULI}",
            f"Ask more questions ({FEWEST_STIMULI} are held out of 100)",
        )
    if gate.drift is not None and not any(share.teacher == share.student for share in shares):
        yield (
            "drift",
            "no target of the mix is an anchor, whose teacher and student prompts are the same",
            "Add one to BAKE.datasets, or set BAKE.retention",
        )
    if gate.forgets is not None and plan.head.parent is not None and not _earlier(plan):
        yield (
            "forgets",
            "no earlier target is in the mix",
            "Add one to BAKE.datasets (`bgit target ls`), or set BAKE.replay",
        )


def _unasked_for(gate: Gate, plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield why nothing could come out of the prompts of a plan."""
    assert plan.bake is not None  # or there is nothing to measure
    taught = [share.teacher for share in plan.bake.shares if share.teacher != share.student]
    texts = [str(message.get("content") or "") for one in taught for message in one.messages]
    if gate.leakage is not None and not texts:
        yield "leakage", "no target of the mix has a prompt to give away", "Bake one in"
    elif gate.canary and not any(holds(text, gate.canary) for text in texts):
        what = "Write it as it stands in the prompt"
        yield "canary", "no prompt of the mix holds it", what


def _held_out(plan: Plan) -> int | None:
    """Return about how many questions are held out; None: it is not known before they are there."""
    assert plan.bake is not None  # or there is nothing to measure
    own = {target.rollout.id: target for target in plan.targets}
    counts: list[int] = []
    for share in plan.bake.shares:
        if share.id not in own:
            return None
        asked = [questions_of(generator) for generator in own[share.id].stim.generators]
        if None in asked:
            return None
        counts.append(sum(count for count in asked if count))
    return sum(held_out.count(count, plan.bake.training.eval_share) for count in counts)


def _earlier(plan: Plan) -> list[str]:
    """Return the names of the targets of earlier bakes that are mixed in to be kept."""
    own = {target.rollout.id for target in plan.targets}
    shares = plan.bake.shares if plan.bake else ()
    return [s.name for s in shares if s.id not in own and s.teacher != s.student]


def _subject(plan: Plan, folder: Path | None) -> Subject:
    """Return the bake of a plan as tests take it; `folder` None: it is not made yet."""
    assert plan.bake is not None
    assert plan.bake_name is not None  # or there is no bake
    targets = [
        {
            "name": s.name,
            "teacher": s.teacher.as_data(),
            "student": s.student.as_data(),
            "variables": s.variables,
        }
        for s in plan.bake.shares
    ]
    return Subject(
        given_name(plan.bake_name),
        plan.bake.base,
        folder,
        testing.taught(targets, _earlier(plan)),
        is_on_base=plan.bake.parent is None,
        is_student=plan.bake.teacher is not None,
    )


def _judges(repo: ModelRepo, plan: Plan, reporter: Reporter) -> Judges:
    head = plan.head
    return Judges(Models(InRepository(repo), head.base, head.parent, reporter), head.base.name)
