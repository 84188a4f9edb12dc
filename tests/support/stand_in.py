"""An executable that stands in for an engine of others, and what it was told."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("stand_in_engine.py")


@dataclass(frozen=True)
class StandIn:
    """An executable at `path`."""

    path: Path
    settings: Path
    record: Path

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return what it wrote down that has a key, oldest first."""
        text = self.record.read_text("utf-8") if self.record.exists() else ""
        # The last line may be on its way.
        rows = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [row for row in rows if kind in row]

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """Return the bodies of the requests to a path."""
        return [row["body"] for row in self.told("path") if row["path"] == path]

    @property
    def argv(self) -> list[str]:
        """What it was started with."""
        (started,) = self.told("argv")
        return list(started["argv"])

    def flag(self, name: str) -> str:
        """Return what stands behind a flag."""
        return self.argv[self.argv.index(name) + 1]


def stand_in(folder: Path, *, version: str = "0.99.1", name: str = "vllm", **how: Any) -> StandIn:
    """Write an executable that does as `how` says: see `stand_in_engine.py`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings, record, path = folder / "settings.json", folder / "told.jsonl", folder / name
    settings.write_text(json.dumps({"version": version, "told": str(record), **how}), "utf-8")
    line = f"exec '{sys.executable}' -I '{PROGRAM}' '{settings}' \"$@\""
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)
    return StandIn(path, settings, record)
