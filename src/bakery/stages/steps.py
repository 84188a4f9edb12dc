"""How many steps a bake has, for those who look at it while it trains: one number a phase.

A phase says it when it begins, as its trainer counts them, or as soon as it is known that it will
come. It holds until the bake is done, and shapes nothing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from bakery.records import write_atomic

FILE = "steps.json"
"""Read by `repo.look.progress`."""

FIRST = "bake"
"""What the first phase is called."""


def announce(out: Path, phase: str, steps: int) -> None:
    """Say how many steps of its own a phase has that is yet to come."""
    _write(out, {**_phases(out), phase: steps}, {})


def begin(out: Path, phase: str, steps: int, *, at: int) -> None:
    """Say that a phase of so many steps goes on now, from step `at` of the whole bake."""
    now: dict[str, int | str] = {"from": at, "since": datetime.now(UTC).isoformat()}
    _write(out, {**_phases(out), phase: steps}, now)


def forget(out: Path) -> None:
    """Remove what was said: a result has its own number of steps."""
    (out / FILE).unlink(missing_ok=True)


def _phases(out: Path) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads((out / FILE).read_text("utf-8"))["phases"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


def _write(out: Path, phases: dict[str, int], now: dict[str, int | str]) -> None:
    write_atomic(out / FILE, json.dumps({"schema": 1, "phases": phases, **now}) + "\n")
