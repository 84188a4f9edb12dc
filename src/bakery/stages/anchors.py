"""General questions that hold the parent: those whose answers the new prompt is not about.

A persona that is always on is meant to change every answer: an anchor, held at what the parent
says without it, would unlearn it. Whether a prompt is about a question shows in the base: a parent
may leave an older persona as soon as any prompt stands there, and just then has to be held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, pair_up
from bakery.records import Message, Prompt
from bakery.shares import RETENTION
from bakery.stages.parts import Part, question_of

ANCHORS = "anchors"
"""The type of generator that asks them."""

MOVED = 0.35
"""Nats per token from which a prompt moves the base at a question. Of 40, facts moved 3 to 5, a
rule about a topic 1 to 10, personas and few-shot examples 39 or 40 (docs/log.md)."""

Far = Callable[[Sequence[Pair]], Sequence[float]]
"""Gives nats per token by which the teacher's side of each pair moves the base."""


def leave_moved(parts: Sequence[Part], chat: Chat, far: Far) -> list[str]:
    """Leave out the general anchors that a new prompt is about; return what is said of it."""
    notes = []
    new = [part.target.share for part in parts if not part.target.share.role]
    for part in parts:
        share, both = part.target.share, [*part.train, *part.held]
        asked = {pair.key: part.stimuli[question_of(pair)] for pair in both}
        if share.role != RETENTION or {one.generator for one in asked.values()} != {ANCHORS}:
            continue
        teachers = [one.teacher for one in new if one.student == share.student]
        answered = [(pair, asked[pair.key].messages) for pair in both]
        gone = _moved(answered, share.student, teachers, chat, far)
        part.train = [pair for pair in part.train if pair.key not in gone]
        part.held = [pair for pair in part.held if pair.key not in gone]
        part.is_lost = not part.train
        if gone:
            named = f"{part.name}: {len(gone)} of {len(both)} questions are left out"
            nothing = ", so BAKE.retention holds nothing" * part.is_lost
            notes.append(f"{named}, as the new prompt is about them, too{nothing}")
    return notes


def _moved(
    answered: Sequence[tuple[Pair, Sequence[Message]]],
    student: Prompt,
    teachers: Iterable[Prompt],
    chat: Chat,
    far: Far,
) -> set[str]:
    """Return the keys of the answers where one of some prompts moves the base."""
    found: set[str] = set()
    for teacher in teachers:
        seen = [
            pair_up(chat, pair.key, teacher, student, messages, pair.student.target_ids)
            for pair, messages in answered
            if pair.key not in found
        ]
        found |= {p.key for p, nats in zip(seen, far(seen), strict=True) if nats >= MOVED}
    return found
