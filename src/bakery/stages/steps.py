"""How many steps a bake has, for those who look at it while it trains: one number a phase.

A phase says it when it begins, as its trainer counts them, or as soon as it is known that it will
come. It holds until the bake is done, and shapes nothing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from bakery import json_file
from bakery.records import write_atomic
from bakery.store.results import STEPS

FIRST = "bake"
"""What the first phase is called."""


def coming(out: Path, phase: str, steps: int) -> None:
    """Say how many steps of its own a phase has that is yet to come."""
    begun, later = _said(out)
    _write(out, begun, {**later, phase: steps}, {})


def begin(out: Path, phase: str, steps: int, *, before: int, done: int = 0) -> None:
    """Say that a phase of so many steps goes on now, of which some are `done`.

    `before` counts the steps of earlier phases; what once came after that is to be made again.
    """
    begun, later = _said(out)
    kept = {first: count for first, count in begun.items() if int(first) < before}
    later.pop(phase, None)
    now: dict[str, int | str] = {"from": before + done, "since": datetime.now(UTC).isoformat()}
    _write(out, {**kept, str(before): steps}, later, now)


def forget(out: Path) -> None:
    """Remove what was said: a result has its own number of steps."""
    (out / STEPS).unlink(missing_ok=True)


def _said(out: Path) -> tuple[dict[str, int], dict[str, int]]:
    try:
        found = json_file.load_object(out / STEPS)
        begun, later = dict(found["begun"]), dict(found["coming"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}
    counts = all(map(json_file.is_whole, (*begun.values(), *later.values())))
    known = counts and all(key.isascii() and key.isdigit() for key in begun)
    return (begun, later) if known else ({}, {})


def _write(
    out: Path, begun: dict[str, int], later: dict[str, int], now: dict[str, int | str]
) -> None:
    said = {"schema": 1, "begun": begun, "coming": later, **now}
    write_atomic(out / STEPS, json.dumps(said) + "\n")
