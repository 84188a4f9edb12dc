"""Questions in, the answers of a trained adapter and of its prompted parent side by side out.

Greedily, and behind whatever prompt each question has. Leaves `asked.jsonl` and `probes.json` in
the folder of the bake.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from bakery.backends.local import LocalModel
from bakery.engine.loss.readout import Readout
from bakery.engine.models.models import BaseModel
from bakery.engine.teacher.elsewhere import Elsewhere
from bakery.engine.text.views import Pair, pair_up, view
from bakery.evals import agreement, verdict
from bakery.evals.agreement import Answered
from bakery.evals.distances import Begun, Distance, along, distances
from bakery.evals.sides import Said, Side, Sides, while_training
from bakery.records import Message, Prompt, user_text, write_atomic
from bakery.store.results import ASKED, PROBES

WRITTEN, HELD_OUT, FEWEST = 20, 20, 24
"""Questions of a prompt: of those that the user wrote out, of those that are held out at most, and
so many with others where there are too few of both."""
MOST_TOKENS = 48
"""Of each answer. Of longer ones the beginnings are compared."""
PROBED = 12
FRESH = 6
"""Questions about what the prompt says, in words that were asked nowhere."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, behind the teacher's prompt and behind the student's."""

    key: str
    messages: tuple[Message, ...]
    teacher: Prompt
    student: Prompt
    is_written: bool = False
    """Whether the user wrote it out, so that it has to be learnt."""
    is_held_out: bool = False
    is_fresh: bool = False
    """Whether it is about what the prompt says, in words that were asked nowhere."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A question about a statement of the prompt, asked if the prompted model says it then."""

    question: Question
    statement: str


def chosen(held: Sequence[str], trained: Sequence[str], written: Collection[str]) -> list[str]:
    """Return which questions to ask by their keys, which are in the order to be asked in.

    Those that the user wrote out come first, then those that are held out.
    """
    first = [key for key in [*trained, *held] if key in written][:WRITTEN]
    others = [key for key in held if key not in first][:HELD_OUT]
    more = [key for key in trained if key not in first]
    asked = [*first, *others]
    return [*asked, *more[: max(0, FEWEST - len(asked))]]


@dataclass(slots=True)
class Compared:
    """The questions of a target, and what was answered to them."""

    questions: list[Question] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    rows: list[Answered] = field(default_factory=list)
    prompted: dict[str, Said] = field(default_factory=dict)
    """By the keys of the questions, and of the candidates that were not asked then."""
    said: dict[str, list[Said]] = field(default_factory=dict)
    base: list[tuple[Said, Begun]] = field(default_factory=list)
    own: list[Begun] = field(default_factory=list)
    """Of the questions that are probed: what the base says, and how sure the bake is of its own."""
    far: list[Distance] = field(default_factory=list)


KNOWN: Mapping[str, Said] = {}


def compared(
    student: PeftModel,
    base: BaseModel,
    readout: Readout,
    questions: Sequence[Question],
    candidates: Sequence[Candidate] = (),
    *,
    has_parent: bool = False,
    teacher: Elsewhere | None = None,
) -> Compared:
    """Have the prompted parent and the bake answer; the base only where it is shown.

    `has_parent`: earlier bakes lie between parent and base. `candidates`, `teacher`: see
    `side_by_side`.
    """
    found = side_by_side(student, base, readout, questions, candidates, teacher=teacher)
    if not found.questions:
        return found
    rows, sides = found.rows, _sides(student, base)
    shown = {row.key for row in verdict.worst_first(rows)[: verdict.SHOWN]}
    at = [i for i, row in enumerate(rows) if i < PROBED or row.key in shown]
    asked = [found.questions[i] for i in at]
    base_said = _said_by_base(sides, readout, asked)
    found.base = base_said[: min(PROBED, len(rows))]
    more = _beside_earlier(sides, asked) if has_parent else None
    for n, (i, (one, begun)) in enumerate(zip(at, base_said, strict=True)):
        rows[i] = replace(rows[i], base=one.text, base_hesitant=round(begun.hesitant, 4))
        if more is not None:
            unprompted, on_base = (said[n].text for said in more)
            rows[i] = replace(rows[i], unprompted=unprompted, on_base=on_base)
    return found


def side_by_side(
    student: PeftModel,
    base: BaseModel,
    readout: Readout,
    questions: Sequence[Question],
    candidates: Sequence[Candidate] = (),
    *,
    known: Mapping[str, Said] = KNOWN,
    teacher: Elsewhere | None = None,
) -> Compared:
    """Have the prompted parent and the student as it stands answer.

    Of the `candidates` those are asked that the prompted model answers with something of their
    statement. `known` are prompted answers by the keys of their questions, not given anew.
    `teacher` is the prompted model, where that is another one than the student's parent.
    """
    sides, tried = _sides(student, base), [one.question for one in candidates]
    new = [one for one in [*questions, *tried] if one.key not in known]
    said = _prompted(sides, new, readout, teacher)
    prompted = {**known, **{one.key: answer for one, answer in zip(new, said, strict=True)}}
    asked = [*questions, *_telling(candidates, prompted)]
    found = Compared(asked, prompted=dict(zip(prompted, _unread(prompted.values()), strict=True)))
    if not asked:
        return found
    found.said = {
        "prompted": [prompted[one.key] for one in asked],
        "baked": _say(sides, "baked", asked, readout=readout),
    }
    found.pairs = [
        pair_up(base.chat, one.key, one.teacher, one.student, one.messages, answer.ids)
        for one, answer in zip(asked, found.said["prompted"], strict=True)
    ]
    found.far = distances(student, readout, found.pairs, *found.said.values(), teacher=teacher)
    found.own = _begun(sides, readout, asked[:PROBED], found.said["baked"][:PROBED])
    found.said = {side: _unread(said) for side, said in found.said.items()}
    found.rows = [
        _answered(one, answer, other, far)
        for one, answer, other, far in zip(asked, *found.said.values(), found.far, strict=True)
    ]
    return found


def _unread(said: Iterable[Said]) -> list[Said]:
    """Return answers without their features: those of many targets would fill the memory."""
    return [replace(one, features=None) for one in said]


def _telling(candidates: Sequence[Candidate], prompted: Mapping[str, Said]) -> list[Question]:
    """Return those whose prompted answers have something of the statement they are about."""
    return [
        one.question
        for one in candidates
        if agreement.tells(
            one.statement, user_text(one.question.messages), prompted[one.question.key].text
        )
    ][:FRESH]


def _answered(one: Question, said: Said, other: Said, far: Distance) -> Answered:
    told = agreement.told_of(one.teacher.text)
    return Answered(
        one.key,
        user_text(one.messages),
        said.text,
        other.text,
        round(far.nats, 4),
        round(far.hesitant, 4),
        one.is_written,
        one.is_held_out,
        told=tuple(sorted(told & agreement.told_of(f"{said.text}\n{other.text}"))),
        is_fresh=one.is_fresh,
    )


def _prompted(
    sides: Sides, questions: Sequence[Question], readout: Readout, teacher: Elsewhere | None
) -> list[Said]:
    """Return what the parent answers behind the teacher's prompt, or the model in its place."""
    if teacher is None:
        return _say(sides, "prompted", questions, readout=readout, as_teacher=True)
    local = LocalModel(teacher.base)
    local.model = teacher.model
    alone = Sides(local, Prompt(), Prompt())
    return _say(alone, "prompted", questions, readout=teacher.readout, as_teacher=True)


def _sides(student: PeftModel, base: BaseModel) -> Sides:
    local = LocalModel(base)
    local.model = student
    return while_training(local, Prompt(), Prompt())


def _say(
    sides: Sides,
    side: Side,
    questions: Sequence[Question],
    *,
    readout: Readout | None = None,
    as_teacher: bool = False,
) -> list[Said]:
    behind = [one.teacher if as_teacher else one.student for one in questions]
    asked = [one.messages for one in questions]
    return sides.say(side, asked, MOST_TOKENS, behind=behind, readout=readout)


def _said_by_base(
    sides: Sides, readout: Readout, questions: Sequence[Question]
) -> list[tuple[Said, Begun]]:
    """Return what the base answers, and how sure it was of that."""
    said = _say(sides, "base", questions, readout=readout)
    with sides.turned("base"):
        begun = _begun(sides, readout, questions, said)
    return list(zip(_unread(said), begun, strict=True))


def _begun(
    sides: Sides, readout: Readout, questions: Sequence[Question], said: Sequence[Said]
) -> list[Begun]:
    """Return how sure the model as it stands is of what it said behind the student's prompt."""
    chat = sides.local.base.chat
    views = [
        view(chat.prefix_ids(question.student, question.messages), one.ids)
        for question, one in zip(questions, said, strict=True)
    ]
    return along(sides.local.model, readout, views, said)


def _beside_earlier(sides: Sides, questions: Sequence[Question]) -> tuple[list[Said], list[Said]]:
    """Return what the parent says without the prompt, and the base with it."""
    return _say(sides, "parent", questions), _say(sides, "base", questions, as_teacher=True)


def write(folder: Path, bake: Mapping[str, Any], asked: Mapping[str, Compared]) -> None:
    """Leave what was asked, and the probes, in a folder; `bake` says of which bake they are."""
    rows = [
        json.dumps({"target": name, **row.as_data()}, ensure_ascii=False)
        for name, one in asked.items()
        for row in one.rows
    ]
    write_atomic(folder / ASKED, "".join(f"{row}\n" for row in rows))
    probes = [probe for name, one in asked.items() for probe in _probes(name, one)]
    said = {"schema": 1, **bake, "probes": probes}
    write_atomic(folder / PROBES, json.dumps(said, ensure_ascii=False) + "\n")


def _probes(name: str, one: Compared) -> list[dict[str, Any]]:
    """Return what the first questions of a target would be answered with, token by token."""
    if not one.rows:
        return []
    return [
        {
            "key": pair.key,
            "target": name,
            "question": row.question,
            "student_prefix": list(pair.student.ids[: pair.student.spans[0][0]]),
            "teacher_prefix": list(pair.teacher.ids[: pair.teacher.spans[0][0]]),
            "top": {"base": begun.first, "prompted": far.prompted, "baked": far.baked},
            "greedy": {
                "base": list(base.ids),
                "prompted": list(prompted.ids),
                "baked": list(baked.ids),
            },
            "sure": {"base": begun.each, "baked": own.each},
        }
        for pair, row, far, prompted, baked, (base, begun), own in zip(
            one.pairs, one.rows, one.far, one.said["prompted"], one.said["baked"], one.base,
            one.own, strict=False,
        )
    ]  # fmt: skip
