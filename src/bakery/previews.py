"""What a dry run found, before it is laid out: plain data, so that the screen needs no tensors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a view: its text as the model sees it, and whether the loss scores it."""

    text: str
    is_target: bool


@dataclass(frozen=True, slots=True)
class Side:
    """One view of a row: what the teacher, or the student, sees."""

    pieces: tuple[Piece, ...]
    tokens: int
    targets: int


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row as both see it. `is_open`: somebody has yet to answer, so there is no target.

    `part` counts the pairs of a row that was split; `parts` is 1 for all others.
    """

    number: int
    teacher: Side
    student: Side
    is_open: bool
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """What training would take, roughly. Sizes in bytes; the time is for all epochs."""

    parameters: int
    trainable: int
    weights: int
    adapter: int
    batch: int
    seconds: float
    rate: float
    """Floating-point operations a second, as measured by products of matrices."""
    process: int = 0
    """What Python and its libraries take."""

    @property
    def memory(self) -> int:
        """All of it together."""
        return self.process + self.weights + self.adapter + self.batch


@dataclass(frozen=True, slots=True)
class Preview:
    """Some rows, all counts, and what it would cost. Answers not yet given count as their most."""

    model: str
    device: str
    rows: int
    used: int
    open_rows: int
    answers: int
    shown: tuple[ShownRow, ...]
    teacher_tokens: int
    student_tokens: int
    targets: int
    steps: int
    estimate: Estimate
    on_policy: bool = False
    """Whether the student answers, and not the teacher."""
