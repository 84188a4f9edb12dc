"""How lower layers tell people what is going on, without printing.

`ui.console` implements this for terminals and pipes; `Quiet` is for libraries and tests.
"""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Where progress and announcements go."""

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Say that `done` of `total` units of `label` exist; the last call has done == total."""

    def note(self, text: str) -> None:
        """Announce something a person should know: a fallback, a count of what was dropped."""


class Quiet:
    """Keeps the notes, shows nothing."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Keep the note for whoever asks later."""
        self.notes.append(text)
