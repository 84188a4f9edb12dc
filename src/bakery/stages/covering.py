"""What of a bake's prompts is asked, before it is trained, and what was learnt of it, after.

For each target by its own prompt, on some of its questions: those that a person wrote, those that
the prompt was asked for, and those that are held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import nn

from bakery.card import Card
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters
from bakery.engine.modes import evaluating
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.teacher import KeptTeacher, LiveTeacher
from bakery.engine.text.views import Pair
from bakery.evals import coverage
from bakery.evals.coverage import Answered, Dependence, Tokens
from bakery.identity import short_id
from bakery.records import Prompt, Stimulus
from bakery.stages.mix import Mix
from bakery.stages.parts import of_target, question_of
from bakery.stages.training import Work
from bakery.verdict import Covered

EACH = 24
"""Questions of a kind that are looked at, at most."""
SHARE = 0.25
"""Of the tokens that are trained on, as many are run for it: a bake on `tiny` takes 8 % longer."""
NAMED = 3
"""Statements that a note names."""


@dataclass(slots=True)
class Looked:
    """A target's prompt, some of its answers, and what hangs on what."""

    target_id: str
    name: str
    answered: list[Answered]
    record: Features
    found: list[Dependence]
    before: Tokens = ()
    kept: list[Pair] = field(init=False)

    def __post_init__(self) -> None:
        self.kept = [one.pair for one in self.answered]


def before(work: Work) -> tuple[list[Looked], list[str]]:
    """Find out what hangs on what, and how far the parent is from it; return notes, too."""
    found: list[Looked] = []
    notes: list[str] = []
    trained = sum(len(pair.student.ids) for pair in work.mixture.learnt) * work.settings.epochs
    targets = [t for t in work.mixture.targets if "anchor" not in t and "role" not in t]
    for target in targets:
        name, prompt = str(target["name"]), Prompt.from_data(target["teacher"])
        answered = chosen(work.mixture, str(target["id"]))
        count = coverage.affordable(prompt, answered, SHARE * trained / len(targets))
        if not prompt.messages or "backend" in target:
            continue
        if not count:
            of = f"{name}: " if len(targets) > 1 else ""  # one alone may be renamed
            notes.append(f"{of}what each sentence of the prompt teaches is not looked at: it would "
                         "take too long")  # fmt: skip
            continue
        looked = _looked(work, target["id"], name, prompt, answered[:count])
        found.append(looked)
        if left := coverage.unasked(looked.found):
            notes.append(f"warning: {_unasked(left, name if len(targets) > 1 else '')}")
    return found, notes


def after(work: Work, looked: Sequence[Looked]) -> dict[str, tuple[Covered, ...]]:
    """Return the statements of each target's prompt, and how much of each was learnt, by name."""
    found = {}
    with evaluating(work.student):
        for one in looked:
            views = [pair.student for pair in one.kept]
            left = coverage.values(work.student, work.readout, one.record, views, one.kept)
            found[one.name] = coverage.covered(one.found, one.before, left)
    return found


def on_card(card: Card, covered: Mapping[str, tuple[Covered, ...]]) -> Card:
    """Return a card that says what was covered: its own, or that of each target."""
    if not card.targets:
        return replace(card, coverage=next(iter(covered.values()), ()))
    targets = {
        name: replace(part, coverage=covered.get(name, ())) for name, part in card.targets.items()
    }
    return replace(card, targets=targets)


def chosen(mixture: Mix, target_id: str) -> list[Answered]:
    """Return one answer to each of some questions of a target, those that matter most first."""
    pairs = {question_of(p): p for p in reversed(of_target(mixture.train, target_id))}
    held = {question_of(p): p for p in reversed(of_target(mixture.held_out, target_id))}
    kinds: list[list[str]] = [[], [], [], []]
    for key in {**pairs, **held}:
        stimulus = mixture.stimuli[key]
        kinds[_kind(stimulus, is_held=key in held)].append(key)
    kinds[1] = _in_turn(kinds[1], mixture.stimuli)
    for number in (0, 2, 3):
        kinds[number].sort(key=lambda key: short_id(["covered", key]))
    both = {**pairs, **held}
    asked = mixture.stimuli
    return [
        Answered(both[key], asked[key].messages, asked[key].values) for key in _first_of_each(kinds)
    ]


def _kind(stimulus: Stimulus, *, is_held: bool) -> int:
    if stimulus.generator == "hardcoded":
        return 0
    if stimulus.generator == "facts":
        return 1
    return 2 if is_held else 3


def _in_turn(keys: Sequence[str], stimuli: Mapping[str, Stimulus]) -> list[str]:
    """Return questions so that each statement that they were written for comes in turn."""
    by_round: dict[int, list[str]] = {}
    for key in sorted(keys, key=lambda key: short_id(["covered", key])):
        by_round.setdefault(stimuli[key].round, []).append(key)
    ranked = [(rank, number, key) for number, own in sorted(by_round.items())
              for rank, key in enumerate(own)]  # fmt: skip
    return [key for _, _, key in sorted(ranked)]


def _first_of_each(kinds: Sequence[Sequence[str]]) -> Iterator[str]:
    for keys in kinds[:3]:
        yield from keys[:EACH]
    if not kinds[2]:
        yield from kinds[3][:EACH]


def _looked(
    work: Work, target_id: str, name: str, prompt: Prompt, answered: list[Answered]
) -> Looked:
    """Take each statement out in turn, with the new adapter off."""
    kept = KeptTeacher(work.record, [one.pair for one in answered])
    looked = Looked(target_id, name, answered, kept, [])
    given = work.student, work.readout, kept
    with (
        work.reporter.doing("looking at what the prompt says"),
        evaluating(work.student),
        adapters.parent_only(work.student),
    ):
        parent = _parent(work, looked)
        looked.found = coverage.dependences(*parent, work.base.chat, prompt, answered)
        looked.before = coverage.values(*given, [p.student for p in looked.kept], looked.kept)
    return looked


def _parent(work: Work, looked: Looked) -> tuple[nn.Module, Readout, Features]:
    """Return who said what is looked at, what reads it, and what it said in its own terms."""
    if work.teacher is None:
        return work.student, work.readout, looked.record
    model, own = work.teacher.model, Readout(work.teacher.model)
    return model, own, KeptTeacher(LiveTeacher(model, own), looked.kept)


def _unasked(left: Sequence[str], name: str) -> str:
    named = ", ".join(f'"{text:.60}"' for text in left[:NAMED])
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    whose = f" of {name}" if name else ""
    return (
        f"no answer that was looked at{whose} would be another without {named}{more}: "
        f"{coverage.IDLE}"
    )
