"""The user's own tests: every side of a bake answers, and every check looks at every answer.

What the prompted model fails is the prompt's fault: it never counts against the bake.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bakery import variables
from bakery.app import outputs
from bakery.app.judging import Judges
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.records import Prompt, given_name, write_atomic
from bakery.reporting import Reporter
from bakery.schema.tests import Case, Suite
from bakery.spelling import nearest
from bakery.store.results import TESTED
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel
    from bakery.evals.checks import Answer, Outcome
    from bakery.evals.sides import Side as Side
    from bakery.evals.sides import Sides

State = Literal["passed", "lost", "prompt"]
"""What became of a test: `prompt` is that the prompted model fails it, too."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A target of a bake: the prompt that was baked in, and what triggers it."""

    name: str
    teacher: Prompt
    student: Prompt
    first_row: variables.Values = field(default_factory=dict)
    """What the variables of the prompts are filled with; empty where there are none."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is tested. `folder` None: it is the base.

    `taught` is what it learnt, the target that tests mean first; empty: nobody knows.
    """

    name: str
    base: BaseModelId
    folder: Path | None = None
    taught: Sequence[Taught] = ()
    strength: float = 1.0
    """How much of its bake there is."""
    is_on_base: bool = True
    """Whether it was baked on the base itself, so that base and parent are one."""
    is_student: bool = False
    """Whether a model on another base taught it, which is not asked here."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """Who answers."""
        if self.folder is None:
            return ("base",)
        if self.is_student:
            return "base", "baked"
        return ("base", "prompted", "parent", "baked") if self.taught else ("base", "baked")


@dataclass(frozen=True, slots=True)
class Row:
    """One test, with the answer of each side and what came of its checks."""

    name: str
    case: Case
    answers: Mapping[Side, Answer]
    outcomes: Mapping[Side, Sequence[Outcome]]

    @property
    def of_prompt(self) -> list[Outcome]:
        """What the prompted model fails."""
        return [one for one in self.outcomes.get("prompted", ()) if not one.passed]

    @property
    def lost(self) -> list[Outcome]:
        """What the model fails that is tested, and the prompted one, if there is one, passes."""
        excused = {one.check for one in self.of_prompt}
        tested = self.outcomes.get("baked", self.outcomes.get("base", ()))
        return [one for one in tested if not one.passed and one.check not in excused]

    @property
    def state(self) -> State:
        """What became of it."""
        return "lost" if self.lost else "prompt" if self.of_prompt else "passed"

    def passes(self, side: Side) -> bool:
        """Tell whether a side passes every check."""
        return all(one.passed for one in self.outcomes[side])

    def talk(self, sides: Sequence[Side]) -> Iterator[tuple[str, str]]:
        """Yield who says what, turn by turn; a turn that is left open each side has for itself."""
        at = 0
        for turn in self.case.turns:
            if turn.content is not None:
                yield turn.role, turn.content
                continue
            yield from ((side, self.answers[side].before[at]) for side in sides)
            at += 1
        yield from ((side, self.answers[side].text) for side in sides)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "messages": [turn.model_dump(exclude_none=True) for turn in self.case.turns],
            "state": self.state,
            "lost": [one.check for one in self.lost],
            "sides": {
                side: {
                    "answer": answer.text,
                    **({"before": list(answer.before)} if answer.before else {}),
                    "tokens": answer.tokens,
                    "is_cut": answer.is_cut,
                    "passed": self.passes(side),
                    "checks": [one.as_data() for one in self.outcomes[side]],
                }
                for side, answer in self.answers.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Results:
    """What became of all tests of a file. `blob` is its id in git; None: it was not read there."""

    model: str
    file: str
    blob: str | None
    rows: Sequence[Row]
    notes: Sequence[str] = field(default=())

    def of_state(self, state: State) -> list[Row]:
        """Return the tests of which that became."""
        return [row for row in self.rows if row.state == state]

    @property
    def passed(self) -> bool:
        """Whether nothing is lost that the prompted model has."""
        return not self.of_state("lost")

    def passes(self, *, strict: bool = False) -> bool:
        """Tell whether nothing is lost; `strict`: nor does the prompted model fail anything."""
        return self.passed and not (strict and self.of_state("prompt"))

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit test --json` prints."""
        states: Sequence[State] = ("passed", "lost", "prompt")
        return {
            "schema": 1,
            "model": self.model,
            "file": self.file,
            "blob": self.blob,
            "passed": self.passed,
            "counts": {state: len(self.of_state(state)) for state in states},
            "tests": [row.as_data() for row in self.rows],
            "notes": list(self.notes),
        }


def taught(targets: Sequence[Mapping[str, Any]], earlier: Collection[str] = ()) -> list[Taught]:
    """Return what a bake's targets taught, its own before those of `earlier` bakes, by their names.

    A target whose prompts are the same taught nothing.
    """
    new = [t for t in targets if t["teacher"] != t["student"]]
    new.sort(key=lambda target: target["name"] in earlier)
    return [Taught(str(t["name"]), *variables.sides(t), t.get("variables") or {}) for t in new]


def check(subject: Subject, suite: Suite, judges: Judges) -> None:
    """Refuse tests of a target that the model does not have, and judges that cannot be asked."""
    _by_target(subject, suite)
    judges.check(suite)


def rows(
    subject: Subject,
    suite: Suite,
    judges: Judges,
    *,
    loaded: BaseModel | None = None,
    reporter: Reporter,
) -> list[Row]:
    """Have every side answer every test, and check every answer.

    `loaded` is the base, where it is in memory already: the bake is put on it. Raises ConfigError
    where a test names a target that the model does not have, or a judge that cannot be asked.
    """
    by_target = _by_target(subject, suite)
    judges.check(suite)
    found: dict[int, dict[Side, Answer]] = {at: {} for at in range(len(suite.tests))}
    sides_of = opened(subject, loaded=loaded, reporter=reporter)
    for target, numbers in by_target.items():
        cases = [suite.tests[at] for at in numbers]
        for side, said in _answered(sides_of(target), subject, cases, suite, reporter):
            for at, answer in zip(numbers, said, strict=True):
                found[at][side] = answer
    return [_row(suite, at, answers, judges) for at, answers in found.items()]


def keep(store: Store, folder: Path, found: Results) -> None:
    """Keep results beside a bake, for its report; `folder` is that of the step that was tested."""
    told = {**found.as_data(), "step": int(folder.name)}
    with store.lock(folder.parent, "bgit test", wait_s=10):
        write_atomic(folder.parent / TESTED, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _row(suite: Suite, at: int, answers: Mapping[Side, Answer], judges: Judges) -> Row:
    from bakery.evals import checks

    case, prompted = suite.tests[at], answers.get("prompted")
    outcomes = {
        side: [
            *checks.checked(case, answer, prompted),
            *([judges.judged(case, answer.text)] if case.judge else []),
        ]
        for side, answer in answers.items()
    }
    return Row(suite.name(at), case, answers, outcomes)


def _answered(
    sides: Sides, subject: Subject, cases: Sequence[Case], suite: Suite, reporter: Reporter
) -> Iterator[tuple[Side, list[Answer]]]:
    """Yield what each side says; a parent that is the base is not asked again."""
    from bakery.evals import asking

    base: list[Answer] = []
    for side in subject.sides:
        if side == "parent" and subject.is_on_base:
            yield side, base
            continue
        with reporter.doing(f"{side} answers {len(cases)} tests"):
            said = asking.answers(sides, side, cases, max_tokens=suite.max_tokens)
        base = said if side == "base" else base
        yield side, said


def opened(
    subject: Subject, *, loaded: BaseModel | None = None, reporter: Reporter
) -> Callable[[int | None], Sides]:
    """Load the model; return what gives its sides, by a target's place in `taught`.

    None is of no target. `loaded` is the base, where it is in memory already.
    """
    from bakery.backends.local import LocalModel
    from bakery.engine.models.strength import Dial, Strength
    from bakery.evals import sides

    reporter.note(f"loading {subject.name}")
    base = loaded or outputs.load(subject.base, subject.folder, reporter=reporter)
    local = LocalModel(base, name=subject.name, parent=subject.folder, watch=reporter.partly)
    dial = Dial(local.model, subject.folder) if subject.folder else None
    if dial is not None:
        dial.turn(Strength(subject.strength))

    for one in subject.taught:
        if one.first_row:
            row = variables.shown(one.first_row)
            reporter.note(f"the prompt of {one.name} is that of its first row: {row}")

    def of(target: int | None) -> Sides:
        told = Taught("", Prompt(), Prompt()) if target is None else subject.taught[target]
        return sides.of_bake(local, dial, told.teacher, told.student)

    return of


def _by_target(subject: Subject, suite: Suite) -> dict[int | None, list[int]]:
    """Return the places of tests by the target whose prompt they mean; None: there is none."""
    found: dict[int | None, list[int]] = {}
    for at, case in enumerate(suite.tests):
        target = _target(subject, suite.name(at), case.target) if subject.taught else None
        found.setdefault(target, []).append(at)
    return found


def _target(subject: Subject, test: str, name: str | None) -> int:
    if name is None:
        return 0
    for at, one in enumerate(subject.taught):
        if name in (one.name, given_name(one.name)):
            return at
    known = [given_name(one.name) for one in subject.taught]
    near = nearest(name, known)
    raise ConfigError(
        f"{test} is for target {name!r}, which {subject.name} was not taught"
        + (f": did you mean {near[0]!r}?" if near else ""),
        hint=f"Its targets: {', '.join(known)}.",
    )
