"""What a bake is measured on: a prompt that it was taught, and questions to it.

Plain data: where the questions come from is decided in `app.eval`.
"""

from __future__ import annotations

from dataclasses import dataclass

from bakery.records import Message, Prompt


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the ids of each recorded answer of the prompted parent; none: ask it."""

    messages: tuple[Message, ...]
    answers: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """A target that taught a bake something."""

    name: str
    teacher: Prompt
    student: Prompt
    asked: tuple[Asked, ...]
    on: str
    """What the questions are."""
