"""What teacher and student see of one trajectory: two id sequences with paired target spans.

A span covers the ids that the loss scores. Teacher and student spans hold the same ids
pairwise; what lies around them may differ. Chat scaffolding is never a target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bakery.engine.text.chat import Chat
from bakery.errors import StageError
from bakery.records import Message, Prompt

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class View:
    """Ids, and the half-open spans of target tokens in them."""

    ids: tuple[int, ...]
    spans: tuple[Span, ...]
    remarks: tuple[str, ...] = field(default=(), compare=False)
    """What a person should know of how its targets are learnt."""

    @property
    def target_ids(self) -> tuple[int, ...]:
        """The ids under the spans, in order."""
        return tuple(i for start, stop in self.spans for i in self.ids[start:stop])

    @property
    def predicting(self) -> list[int]:
        """The positions whose output predicts a target: one before each target."""
        return [at - 1 for start, stop in self.spans for at in range(start, stop)]


@dataclass(frozen=True, slots=True)
class Pair:
    """One trajectory, seen by the teacher and by the student."""

    key: str
    teacher: View
    student: View

    def __post_init__(self) -> None:
        if self.teacher.target_ids != self.student.target_ids:
            raise StageError(
                f"trajectory {self.key}: teacher and student targets differ",
                hint="The chat template renders this answer differently after the "
                "two prompts; its ids cannot be compared.",
            )
        if any(start < 1 for start, _ in (*self.teacher.spans, *self.student.spans)):
            raise StageError(f"trajectory {self.key}: a target has nothing before it")

    @property
    def num_targets(self) -> int:
        """How many tokens the loss scores."""
        return len(self.student.predicting)

    @property
    def is_identical(self) -> bool:
        """Whether both see the same, so that no context is baked."""
        return self.teacher.ids == self.student.ids


def pair_up(
    chat: Chat,
    key: str,
    teacher: Prompt,
    student: Prompt,
    messages: Sequence[Message],
    response_ids: Sequence[int],
) -> Pair:
    """Put the same response behind the teacher's prefix and behind the student's."""
    return Pair(
        key,
        view(chat.prefix_ids(teacher, messages), response_ids),
        view(chat.prefix_ids(student, messages), response_ids),
    )


def view(prefix_ids: Sequence[int], response_ids: Sequence[int]) -> View:
    """Return a response behind a prefix, all of it targets."""
    start = len(prefix_ids)
    return View((*prefix_ids, *response_ids), ((start, start + len(response_ids)),))
