"""What is left of two models in one that is made of both, and where they contradict each other.

Asked is what the bakes of either were asked when they were made. A model that is made of others is
held against the one that it has an answer from, not against a prompt: that one was measured then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bakery.backends.local import LocalModel
from bakery.brief import brief
from bakery.evals import agreement, moved
from bakery.evals.moved import Heard, Moved
from bakery.generators.words import words
from bakery.kept import Contradiction, Kept, Row

MOST_TOKENS = 48
"""Of each answer, as where a bake is made."""

SHOWN, ROOM = 3, 240
"""Answers of a target that are shown, and signs of each."""
VOICE = 0.5
"""Two sides have another voice each where so many of the answers to either's questions differ."""

OURS, THEIRS, BOTH = "ours", "theirs", "both"


@dataclass(frozen=True, slots=True)
class Question:
    """What a bake was asked. `side`: who of the two learnt to answer it."""

    key: str
    target: str
    side: str
    text: str
    prefix: tuple[int, ...]
    prompt: str
    """The text of the prompt behind which it was answered to learn it."""
    prompted: str = ""
    """That answer."""


def hear(local: LocalModel, questions: Sequence[Question]) -> Heard:
    """Return what a model answers to all of them."""
    return moved.hear(local, [one.prefix for one in questions], MOST_TOKENS)


def kept(
    questions: Sequence[Question], before: Heard, now: Sequence[str], far: Sequence[Moved]
) -> list[Kept]:
    """Return what is left of each target: answers before, answers now, and how far apart."""
    found: dict[str, list[tuple[Question, str, Row]]] = {}
    for one, said, answer, moved_by in zip(questions, before.said, now, far, strict=True):
        told = frozenset(agreement.told_of(one.prompt))
        differs = agreement.difference(one.text, said.text, answer, moved_by.worst, told)
        asked, was, is_now = (brief(text, ROOM) for text in (one.text, said.text, answer))
        row = Row(asked, was, is_now, round(moved_by.kl, 4), round(moved_by.worst, 4), differs)
        found.setdefault(one.target, []).append((one, answer, row))
    return [_kept(target, rows, before, questions) for target, rows in found.items()]


def _kept(
    target: str,
    rows: Sequence[tuple[Question, str, Row]],
    before: Heard,
    questions: Sequence[Question],
) -> Kept:
    said = {one.key: answer.text for one, answer in zip(questions, before.said, strict=True)}
    other = [row for _, _, row in rows if row.differs]
    other.sort(key=lambda row: -row.kl)
    was = fmean(_agrees(one, said[one.key]) for one, _, _ in rows)
    # In other words than before is not as prompted either: a voice is in no name and no number.
    now = fmean(
        _agrees(one, answer) and (not row.differs or words(answer) == words(one.prompted))
        for one, answer, row in rows
    )
    return Kept(
        target,
        rows[0][0].side,
        len(rows),
        len(other),
        round(was, 4),
        round(now, 4),
        round(fmean(row.kl for _, _, row in rows), 4),
        max(row.worst for _, _, row in rows),
        tuple(other[:SHOWN]),
    )


def _agrees(one: Question, answer: str) -> bool:
    told = frozenset(agreement.told_of(one.prompt))
    return not agreement.difference(one.text, one.prompted, answer, None, told)


def contradictions(
    questions: Sequence[Question],
    before: Sequence[str],
    ours: Sequence[str],
    theirs: Sequence[str],
) -> list[Contradiction]:
    """Return the questions that both sides answer with what their own prompts say, each another.

    And where both have another voice, those whose words all three have otherwise.
    """
    rows = list(zip(questions, before, ours, theirs, strict=True))
    own = _own_words(questions)
    common = set().union(*map(agreement.told_of, before))
    content = [row for row in rows if _is_against(row[0], row[2:], own, common)]
    voiced = [row for row in rows if len({tuple(words(text)) for text in row[1:]}) == 3]
    sides = [_of(side, questions) for side in (OURS, THEIRS)]
    spoken = [[row for row in voiced if row[0] in of] for of in sides]
    if all(len(far) >= VOICE * max(1, len(of)) for far, of in zip(spoken, sides, strict=True)):
        content += [row for row in voiced if row not in content]
    return [
        Contradiction(
            one.key,
            brief(one.text, ROOM),
            one.target,
            one.side,
            *(brief(text, ROOM) for text in said),
        )
        for one, *said in content
    ]


def giving_way(
    questions: Sequence[Question],
    said: Sequence[str],
    found: Iterable[Contradiction],
    side: str,
) -> frozenset[str]:
    """Return the keys of a side's questions to which the other side's answers are to stand.

    Those of the contradictions, and all that it answers (`said`) with what these are about.
    """
    own, against = _own_words(questions)[side], {one.key for one in found}
    told = {
        one.key: agreement.told_of(text) & own for one, text in zip(questions, said, strict=True)
    }
    contested = set().union(*(told[key] for key in against))
    return frozenset(
        one.key for one in _of(side, questions) if one.key in against or told[one.key] & contested
    )


def _own_words(questions: Sequence[Question]) -> Mapping[str, set[str]]:
    """Return what only one side's prompts say."""
    told = {
        side: agreement.told_of("\n".join(one.prompt for one in _of(side, questions)))
        for side in (OURS, THEIRS)
    }
    return {OURS: told[OURS] - told[THEIRS], THEIRS: told[THEIRS] - told[OURS]}


def _is_against(
    question: Question,
    said: Sequence[str],
    own: Mapping[str, set[str]],
    common: set[str],
) -> bool:
    """Tell whether each side says something of its own prompts that the other does not say.

    Whoever learnt the question may have been taught what was said before anyway; of the other
    side that is no answer of its own (`common` are words that the model before says somewhere).
    """
    asked = agreement.told_of(question.text)
    told = [agreement.told_of(text) - asked for text in said]
    found = []
    for side, mine, others in ((OURS, told[0], told[1]), (THEIRS, told[1], told[0])):
        known = set() if side == question.side else common
        found.append((mine - others - known) & own[side])
    return all(found)


def _of(side: str, questions: Iterable[Question]) -> list[Question]:
    return [one for one in questions if one.side == side]
