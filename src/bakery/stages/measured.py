"""What a bake comes to, question by question: its card, and what was not learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from peft import PeftModel

from bakery.card import Asked, Card, Fidelity, together
from bakery.engine.loss.readout import Readout
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.fidelity import fidelity
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair
from bakery.evals.agreement import OTHERWISE
from bakery.identity import short_id
from bakery.records import Stimulus, user_text
from bakery.reporting import Reporter
from bakery.shares import REPLAY
from bakery.stages.mix import Mix
from bakery.stages.parts import of_target, question_of
from bakery.stages.training import Work
from bakery.variables import sides

Measured = dict[str, Fidelity]
"""How near each question's answers are to the teacher's, by the question's key."""

FURTHEST = 3
"""How many questions a card names."""
LOOKED_AT = 256
"""How many questions that were trained on are looked at."""


def measure(
    student: PeftModel,
    readout: Readout,
    record: Features,
    pairs: Sequence[Pair],
    *,
    reporter: Reporter,
    label: str = "measuring",
) -> Measured:
    """Score the model as it stands on the questions that `pairs` answer."""
    student.eval()
    parts: dict[str, list[Fidelity]] = {}
    with reporter.doing(label):
        watch = partial(reporter.partly, of=len(pairs))
        scored = fidelity(student, readout, record, pairs, watch=watch)
    for pair, part in zip(pairs, scored, strict=True):
        parts.setdefault(question_of(pair), []).append(part)
    return {key: whole for key, own in parts.items() if (whole := together(own)) is not None}


def standing(work: Work, label: str, pairs: Sequence[Pair]) -> Measured:
    """Score the student of a bake as it stands on some pairs."""
    given = work.student, work.readout, work.record, pairs
    return measure(*given, reporter=work.reporter, label=label)


def card(before: Measured, after: Measured, mixture: Mix, chat: Chat) -> Card:
    """Return the card of the bake, with the questions it is furthest from the teacher on;

    where several targets are mixed, with the card of each.
    """
    left, is_of_template = _left(mixture, chat)
    targets = mixture.targets if len(mixture.targets) > 1 else ()
    return replace(
        _card(before, after, mixture, mixture.own, is_cut=bool(mixture.cut)),
        prompt_tokens_left=left,
        left_by_template=is_of_template,
        furthest=_furthest(before, after, mixture),
        targets={
            target["name"]: replace(
                _card(
                    _own(before, target["id"]),
                    _own(after, target["id"]),
                    mixture,
                    _learnt(mixture, target),
                    is_cut=target["id"] in mixture.cut,
                ),
                anchor="anchor" in target,
            )
            for target in targets
        },
    )


def _learnt(mixture: Mix, target: Mapping[str, Any]) -> list[Pair]:
    """Return the pairs that show what a target saves: of a replayed one those behind its prompt."""
    learnt = of_target(mixture.train, target["id"])
    prompted = of_target(mixture.measured, target["id"]) if target.get("role") == REPLAY else []
    return prompted or learnt


def trained_on(mixture: Mix) -> list[Pair]:
    """Return an answer to each question that was trained on, of many questions to some.

    Those that the user wrote come first: what a prompt wants beyond its voice is asked there.
    """
    first = {question_of(pair): pair for pair in reversed(mixture.own)}
    written = [key for key in first if mixture.stimuli[key].is_written_out]
    rest = sorted(first.keys() - set(written), key=lambda key: short_id(["measured", key]))
    return [first[key] for key in [*written, *rest][:LOOKED_AT]]


def notes(after: Measured, mixture: Mix) -> Iterator[str]:
    """Yield what a mean hides: questions that the bake answers otherwise than the prompt does.

    One token is enough for that, as of a name, and hardly moves the mean over all. Of answers that
    were made up nothing is wanted.
    """
    if any("backend" in target for target in mixture.targets):
        return
    left = [key for key in after if after[key].worst >= OTHERWISE]
    if left:
        written = [key for key in left if mixture.stimuli[key].is_written_out]
        left.sort(key=lambda key: (key not in written, -after[key].worst, key))
        named = ", ".join(f'"{_brief(mixture.stimuli[key])}"' for key in left[:FURTHEST])
        said = (
            f"{len(left)} of {len(after)} questions may not be answered as under the prompt, first "
            f"of all {named} ({after[left[0]].worst:.2g} nats at one token): more epochs, and more "
            "questions like these, teach it"
        )
        yield f"warning: {_of_written(len(written))}{said}" if written else said


def _of_written(count: int) -> str:
    one = count == 1
    return f"{count} that input.yml writes out {'is' if one else 'are'} not learnt. "


def _brief(stimulus: Stimulus) -> str:
    return f"{' '.join(user_text(stimulus.messages).split()):.60}"


def _card(
    before: Measured, after: Measured, mixture: Mix, trained: Sequence[Pair], *, is_cut: bool
) -> Card:
    """Return a card; where the prompt `is_cut`, nobody knows what is saved of it."""
    held = len(after.keys() & {question_of(pair) for pair in mixture.held_out})
    both = together(list(before.values())), together(list(after.values()))
    # A target that is replayed with many others may have no answer in the mix.
    saved = [len(pair.teacher.ids) - len(pair.student.ids) for pair in trained] or [0]
    return replace(Card.made(*both, held, 0.0 if is_cut else fmean(saved)), cut_prompt=is_cut)


def _left(mixture: Mix, chat: Chat) -> tuple[float, bool]:
    """Return how much each request still sends before its question, and if that is the template."""
    students = [sides(target)[1] for target in mixture.targets]
    tokens = [chat.tokens_left(student) for student in students]
    counts = [len(of_target(mixture.train, target["id"])) for target in mixture.targets]
    whole = sum(n * count for n, count in zip(tokens, counts, strict=True))
    if not whole:
        return 0.0, False
    return whole / sum(counts), not any(s.messages or s.tools for s in students)


def _own(measured: Measured, target_id: str) -> Measured:
    """Return what was measured on one target's questions."""
    return {key: part for key, part in measured.items() if key.startswith(f"{target_id}/")}


def _furthest(before: Measured, after: Measured, mixture: Mix) -> tuple[Asked, ...]:
    """Return the questions whose answers are furthest from the teacher's, the furthest first."""
    keys = sorted(after, key=lambda key: (-after[key].kl, key))[:FURTHEST]
    return tuple(
        Asked(user_text(mixture.stimuli[key].messages), before[key].kl, after[key].kl)
        for key in keys
    )
