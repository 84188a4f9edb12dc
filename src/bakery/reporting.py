"""How lower layers tell people what is going on, without printing.

`ui.progress` implements this for terminals and pipes; `Quiet` is for libraries and tests.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from bakery.masking import masked


class Reporter(Protocol):
    """Where progress and announcements go."""

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Say that `done` of `total` units of `label` exist; the last call has done == total."""

    def partly(self, done: float, of: int) -> None:
        """Say that about `done` of the next `of` units are there, of the step last reported.

        For units that come many at once, and for what is `doing`. It may be called often: for
        each token, say.
        """

    def doing(self, label: str) -> AbstractContextManager[None]:
        """Say that something is under way until the block ends; nothing where that is soon."""

    def note(self, text: str) -> None:
        """Announce something a person should know: a fallback, a count of what was dropped."""


class Quiet:
    """Keeps the notes, shows nothing."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Show nothing."""

    def partly(self, done: float, of: int) -> None:
        """Show nothing."""

    def doing(self, label: str) -> AbstractContextManager[None]:
        """Show nothing."""
        return nullcontext()

    def note(self, text: str) -> None:
        """Keep the note for whoever asks later."""
        self.notes.append(masked(text))


@dataclass(slots=True)
class Pace:
    """How fast a step goes: what it has done since `began`, in seconds of a clock that only rises.

    `first` units were there when it began: they took no time of it.
    """

    began: float
    first: int
    done: int
    total: int
    part: float = 0.0
    """Units under way that are done in all but name."""

    def rate(self, now: float) -> float | None:
        """Return units per second. None: nothing is done yet."""
        made = self.done + self.part - self.first
        return made / (now - self.began) if made > 0 and now > self.began else None

    def left_s(self, now: float) -> float | None:
        """Return about how many seconds the rest takes. None: nothing is done yet."""
        rate = self.rate(now)
        return None if rate is None else max(0.0, self.total - self.done - self.part) / rate
