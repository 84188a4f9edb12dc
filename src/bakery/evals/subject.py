"""What a bake is measured on: a prompt that it was taught, and questions to it.

Plain data: where the questions come from is decided in `app.eval`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bakery.records import Message, Prompt
from bakery.variables import Values


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the ids of each recorded answer of the prompted parent; none: ask it."""

    messages: tuple[Message, ...]
    answers: tuple[tuple[int, ...], ...] = ()
    values: Values | None = None
    """What fills the variables of the prompt for it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A target that taught a bake something; of variables, with the prompts of its first row."""

    name: str
    teacher: Prompt
    student: Prompt
    asked: tuple[Asked, ...]
    on: str
    """What the questions are."""
    rows: tuple[Prompt, Prompt, Values] | None = None
    """The prompts with their variables, and the first row. None: there are none."""

    @property
    def sides(self) -> tuple[Prompt, Prompt]:
        """The prompts that each question's own values fill."""
        return (self.teacher, self.student) if self.rows is None else self.rows[:2]

    @property
    def of_first_row(self) -> Subject:
        """Return it with the questions of the first row alone, which its prompts are of."""
        if self.rows is None:
            return self
        first = self.rows[2]
        return replace(self, asked=tuple(one for one in self.asked if one.values in (None, first)))
