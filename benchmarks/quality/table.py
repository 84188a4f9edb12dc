"""The tables of time to quality, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from benchmarks.quality.cases import NAMES, Case
from benchmarks.quality.curve import SHARES, Point, best, reached
from benchmarks.results import Row

NEVER = "not reached"
TIMES = "CPU seconds to close the gap by"
STUDENT_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
"""Of 95 % intervals, by how many seeds there are."""
COMPARED = ("trl_tuned", "trl", "seed", "fine_tuning", "ours_v1")


def show(rows: Sequence[Row], cases: Sequence[Case]) -> None:
    """Print a table for each case that was measured."""
    for case in cases:
        if found := by_side(rows, case):
            print("\n" + "\n".join(lines(case, found) if case.followed else costs(case, found)))


def by_side(rows: Sequence[Row], case: Case) -> dict[str, list[Row]]:
    """Return the results of each side of a case, in the order of the table."""
    found = {
        side: [r for r in rows if (r["case"], r["side"]) == (case.name, side)] for side in NAMES
    }
    return {side: own for side, own in found.items() if own}


def lines(case: Case, found: dict[str, list[Row]]) -> list[str]:
    """Return the table of a case that was followed: when how much of the gap was closed."""
    head = "".join(f"{f'{share:.0%}':>12}" for share in SHARES)
    out = [
        f"{case.title:<24}{TIMES:>32}{'best':>11}{'task':>7}{'MB':>6}",
        f"{_seeds(found):<20}{head}",
    ]
    for side, rows in found.items():
        times = "".join(f"{until(rows, share):>12}" for share in SHARES)
        closed = said([100 * best(points_of(r), r["before"]) for r in rows])
        task = fmean(100 * r["judged"][-1][1] for r in rows)
        peak = fmean(r["peak_mb"] for r in rows)
        out.append(f"{NAMES[side]:<20}{times}{closed:>11}{task:>7.0f}{peak:>6.0f}")
    out.append("best: % of the gap closed; task: % of fresh greedy answers that are right.")
    return [*out, *ratios(found)]


def ratios(found: dict[str, list[Row]]) -> list[str]:
    """Return how many times as long others take until 80 % of the gap is closed."""
    ours = _mean_time(found.get("ours", []), 0.8)
    if ours is None:
        return []
    parts = []
    for side in COMPARED:
        if side in found:
            other = _mean_time(found[side], 0.8)
            times = "never" if other is None else f"{other / ours:.1f}x"
            parts.append(f"{NAMES[side]} {times}")
    if not parts:
        return []
    whole = f"Until 80 %, as many times as long as bakery: {', '.join(parts)}."
    return _wrapped(whole)


def costs(case: Case, found: dict[str, list[Row]]) -> list[str]:
    """Return the table of a case that is about cost alone."""
    out = [
        f"{case.title:<34}{'CPU s':>10}{'peak MB':>9}{'closed, %':>12}",
        f"{_seeds(found)}",
    ]
    for side, rows in found.items():
        closed = said([100 * best(points_of(r), r["before"]) for r in rows])
        cpu, peak = (said([r[key] for r in rows]) for key in ("cpu_s", "peak_mb"))
        out.append(f"{NAMES[side]:<34}{cpu:>10}{peak:>9}{closed:>12}")
    if {"ours", "trl_tuned"} <= set(found):
        cpu, peak = (
            fmean(r[key] for r in found["trl_tuned"]) / fmean(r[key] for r in found["ours"])
            for key in ("cpu_s", "peak_mb")
        )
        out.append(f"TRL takes {cpu:.1f}x the CPU seconds and {peak:.2f}x the memory.")
    return out


def points_of(row: Row) -> list[Point]:
    """Return the measurements of a result."""
    return [Point(*values) for values in row["points"]]


def until(rows: Sequence[Row], share: float) -> str:
    """Return when a share was closed, over all seeds; how many of them, where not all did it."""
    times = _times(rows, share)
    if not times:
        return NEVER
    if len(times) < len(rows):
        return f"{len(times)}/{len(rows)}: {fmean(times):.3g}"
    return said(times)


def said(values: Sequence[float]) -> str:
    """Return a mean with half of its 95 % interval, where there are several values."""
    mean = fmean(values)
    digits = 0 if mean >= 100 else 1
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    half = STUDENT_T.get(len(values), 2.0) * stdev(values) / len(values) ** 0.5
    return f"{mean:.{digits}f} ±{half:.{digits}f}"


def _times(rows: Sequence[Row], share: float) -> list[float]:
    times = (reached(points_of(row), row["before"], share) for row in rows)
    return [time for time in times if time is not None]


def _mean_time(rows: Sequence[Row], share: float) -> float | None:
    """Return the mean over all seeds; None where one of them never came there."""
    times = _times(rows, share)
    return fmean(times) if times and len(times) == len(rows) else None


def _seeds(found: dict[str, list[Row]]) -> str:
    most = max(len(rows) for rows in found.values())
    return f"{most} seed{'s' * (most > 1)}"


def _wrapped(text: str, width: int = 80) -> list[str]:
    out = [""]
    for word in text.split():
        if out[-1] and len(out[-1]) + 1 + len(word) > width:
            out.append("")
        out[-1] = f"{out[-1]} {word}".strip()
    return out
