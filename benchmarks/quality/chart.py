"""The chart of time to quality: how much of the gap is closed after how many CPU seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bakery.ui.figure import INK, LEFT, QUIET, WIDTH, Label, Line, as_png, as_svg
from benchmarks.quality.cases import NAMES, Case
from benchmarks.quality.curve import SHARES
from benchmarks.quality.table import by_side, points_of
from benchmarks.results import Row

COLOURS = {
    "ours": "#0969da",
    "ours_v1": "#54aeff",
    "ours_as_trl": "#8250df",
    "trl_tuned": "#bc4c00",
    "trl": "#d4a72c",
    "seed": "#57606a",
    "fine_tuning": "#1a7f37",
}
FAINT, MARK = "#d1d9e0", "#818b98"
HEIGHT, RIGHT, TOP, BOTTOM = 400, 24, 92, 44
DOT = 2.5


def draw(rows: Sequence[Row], cases: Sequence[Case], path: Path) -> list[Path]:
    """Write the chart as SVG, and as PNG beside it; return the files, none without a result."""
    followed = [case for case in reversed(cases) if case.followed and by_side(rows, case)]
    items = [
        item
        for number, case in enumerate(followed)
        for item in panel(case, by_side(rows, case), number * HEIGHT)
    ]
    if not items:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_svg(items, HEIGHT * len(followed)), encoding="utf-8")
    beside = path.with_suffix(".png")
    beside.write_bytes(as_png(items, HEIGHT * len(followed)))
    return [path, beside]


def panel(case: Case, found: dict[str, list[Row]], top: float) -> Iterator[Line | Label]:
    """Yield what is drawn of one case: a line for each side and seed."""
    seconds = [point.cpu_s for rows in found.values() for row in rows for point in points_of(row)]
    ticks = marks(min(seconds), max(seconds))
    low, high = math.log(min(*seconds, *ticks)), math.log(max(*seconds, *ticks))
    right, floor = WIDTH - RIGHT, top + HEIGHT - BOTTOM

    def across(second: float) -> float:
        return LEFT + (math.log(second) - low) / (high - low) * (right - LEFT)

    def down(share: float) -> float:
        return floor - min(max(share, 0.0), 1.0) * (floor - top - TOP)

    yield Label(16, top + 24, f"{case.title}: how much of the gap is closed", INK, 15)
    for share in (0.0, *SHARES, 1.0):
        colour = MARK if share in SHARES else FAINT
        yield Line(((LEFT, down(share)), (right, down(share))), colour)
        yield Label(LEFT - 8, down(share) + 4, f"{share:.0%}", anchor="end")
    for tick in ticks:
        yield Line(((across(tick), floor), (across(tick), floor + 4)), QUIET)
        yield Label(across(tick), floor + 18, f"{tick:g}", anchor="middle")
    yield Label(right, floor + 36, "CPU seconds, one thread, loading and sampling included",
                anchor="end")  # fmt: skip
    # Ours is drawn last, so that it lies on top.
    for side in reversed(found):
        for row in found[side]:
            yield from _curve(row, across, down, COLOURS[side], 2.6 if side == "ours" else 1.4)
    yield from _legend(list(found), top + 46)


def marks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two numbers, and one beyond each."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    first = max((i for i, mark in enumerate(every) if mark <= low), default=0)
    last = min((i for i, mark in enumerate(every) if mark >= high), default=len(every) - 1)
    return every[first : last + 1]


def _curve(
    row: Row,
    across: Callable[[float], float],
    down: Callable[[float], float],
    colour: str,
    width: float,
) -> Iterator[Line]:
    """Yield the line of one run, with a dot at its end.

    Until the first measurement nothing is closed: first weights come all at once.
    """
    points = [(across(p.cpu_s), down(p.closed(row["before"]))) for p in points_of(row)]
    yield Line(((points[0][0], down(0.0)), *points), colour, width)
    x, y = points[-1]
    yield Line(((x - DOT, y), (x + DOT, y)), colour, 2 * DOT)


def _legend(sides: Sequence[str], y: float) -> Iterator[Line | Label]:
    """Yield the names of all sides, four in a row."""
    each = (WIDTH - 32) / 4
    for index, side in enumerate(sides):
        x, at = 16 + index % 4 * each, y + index // 4 * 20
        yield Line(((x, at - 4), (x + 18, at - 4)), COLOURS[side], 3)
        yield Label(x + 24, at, NAMES[side], INK)
