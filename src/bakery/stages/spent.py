"""The seconds that answers took, over all runs that made some: an interrupted one goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path

from bakery import json_file
from bakery.records import write_atomic

FILE = "spent.json"

EVERY_S = 2.0
"""How often it is written down at most."""


class Spent:
    """A clock that goes on where the one of the run before was last kept."""

    def __init__(self, out: Path) -> None:
        self._path, self._before, self._started = out / FILE, _kept(out / FILE), time.monotonic()
        self._kept = self._started

    def seconds(self) -> float:
        """Return how long this run and those before it have taken."""
        return self._before + time.monotonic() - self._started

    def keep(self) -> None:
        """Write it down for a run that goes on, unless that was done just now."""
        now = time.monotonic()
        if now - self._kept >= EVERY_S:
            write_atomic(self._path, json.dumps({"seconds": round(self.seconds(), 2)}) + "\n")
            self._kept = now

    def forget(self) -> None:
        """Remove what was written: the result says it."""
        self._path.unlink(missing_ok=True)


def _kept(path: Path) -> float:
    try:
        seconds = json_file.load_object(path).get("seconds")
    except (OSError, ValueError):  # lost, and nothing but a figure with it
        return 0.0
    return seconds if isinstance(seconds, int | float) and seconds >= 0 else 0.0
