"""What the engine aims at, and whether a result file shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.cases import CASES, Case
from benchmarks.results import Figures

FLAT = 1.1
"""How much more memory a step may take behind a long prefix than behind a short one."""

Found = Mapping[tuple[str, str], Figures]


def lines(found: Found) -> list[str]:
    """Return a line for each aim whose sides were measured."""
    checked = [*_of_cases(found), *_flatness(found)]
    return ["aimed at", *checked] if checked else []


def _of_cases(found: Found) -> Iterator[str]:
    for case in CASES:
        ours = found.get((case.name, "ours"))
        for side, goal in case.goals.items():
            other = ours if side == "speed" else found.get((case.name, side))
            if ours is None or other is None:
                continue
            value = _value(case, side, ours, other)
            met = value <= goal if side == "floor" else value >= goal
            aim = f"{'at most' if side == 'floor' else 'at least'} {goal:g}"
            yield _line(
                case.title, f"against {side}" if side != "speed" else "tokens/s", value, aim, met
            )


def _value(case: Case, side: str, ours: Figures, other: Figures) -> float:
    if side == "speed":
        return ours.tokens / ours.cpu
    if side == "floor":
        return ours.cpu / other.cpu
    if case.kind == "memory":
        return other.memory / max(ours.memory, 1.0)
    return other.cpu / ours.cpu


def _flatness(found: Found) -> Iterator[str]:
    for rows in (4, 16):
        short, long = (found.get((f"memory-{rows}x{p}", "ours")) for p in (256, 4096))
        if short and long:
            value = long.memory / max(short.memory, 1.0)
            yield _line(
                f"{rows} rows behind 4,096", "over 256", value, f"at most {FLAT}", value <= FLAT
            )


def _line(title: str, what: str, value: float, aim: str, met: bool) -> str:
    return f"{title:<30}{what:<14}{value:8.2f}  {aim:<14} {'met' if met else 'MISSED'}"
