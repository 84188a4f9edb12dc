"""What came of a model that was made again, stage by stage: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.plain import plain
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look.diff import Change


@dataclass(frozen=True, slots=True)
class Compared:
    """One result of a bake: what the recipe says of it, and what was found."""

    stage: str
    name: str
    recorded: str
    found: str | None
    """None: it was not made (see `note`)."""
    note: str = ""

    @property
    def is_same(self) -> bool:
        """Whether it is what was recorded, to the byte."""
        return self.recorded == self.found

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data, with the verdict."""
        names = ("stage", "name", "recorded", "found", "is_same", "note")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Again:
    """A bake that was made again."""

    bake: RecordedBake
    results: tuple[Compared, ...]
    environment: tuple[Change, ...]
    """What it was made with then and now, where that differs."""
    kept: Path | None
    """Where results lie that are not the recorded ones; None: there are none."""

    @property
    def is_same(self) -> bool:
        """Whether all of it is what was recorded."""
        return all(result.is_same for result in self.results)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A chain of bakes made again, oldest first."""

    bakes: tuple[Again, ...]
    not_made: tuple[RecordedBake, ...]
    """Bakes whose parent came out differently, and whose recorded parent is not here."""

    @property
    def is_same(self) -> bool:
        """Whether every bake is what was recorded."""
        return not self.not_made and all(bake.is_same for bake in self.bakes)

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit reproduce --json` prints."""
        return {
            "is_same": self.is_same,
            "bakes": [
                {
                    "name": again.bake.name,
                    "is_same": again.is_same,
                    "results": [result.as_data() for result in again.results],
                    "environment": plain(again.environment),
                    "kept": plain(again.kept),
                }
                for again in self.bakes
            ],
            "not_made": [bake.name for bake in self.not_made],
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One stage that a reproduction would go through."""

    bake: str
    stage: str
    name: str
    count: int
    """Questions, answers, or steps of training."""
    seconds: float | None
    """What it took when it was recorded; None: the recipe does not say."""
    is_here: bool
    """Whether the store has the recorded result."""
