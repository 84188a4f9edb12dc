"""Scales of a chart: round numbers to mark, and where a value lies between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Pairs = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, with the numbers that are marked."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Iterable[float], *, ticks: int, from_zero: bool = False) -> Axis:
        """Return an axis that holds all values and begins and ends on round numbers.

        `from_zero`: it begins at 0 where no value is far from there.
        """
        values = [value for value in values if math.isfinite(value)]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if from_zero and 0 < low < 0.5 * high:
            low = 0.0
        if low == high:
            low, high = (low - 0.5 * abs(low), high + 0.5 * abs(high)) if low else (0.0, 1.0)
        step = _round_step((high - low) / max(ticks - 1, 1))
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        marks = tuple(_exact(i * step) for i in range(first, last + 1))
        return cls(marks[0], marks[-1], marks)

    @classmethod
    def of_steps(cls, steps: Iterable[int], *, ticks: int) -> Axis:
        """Return an axis from the first to the last step; both are marked, and round ones."""
        steps = list(steps)
        low, high = min(steps, default=0), max(steps, default=1)
        if low == high:
            return cls(low - 1, high + 1, (low,))
        step = max(1, round(_round_step((high - low) / max(ticks, 1))))
        between = range(-(-low // step) * step, high + 1, step)
        far = [mark for mark in between if min(mark - low, high - mark) >= step / 2]
        return cls(low, high, (low, *far, high))

    def place(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)

    @property
    def labels(self) -> list[str]:
        """The marked numbers, all with as many digits as they need together."""
        if all(float(tick).is_integer() and abs(tick) < 1e6 for tick in self.ticks):
            return [f"{tick:.0f}" for tick in self.ticks]
        most = max(abs(tick) for tick in self.ticks)
        if most < 1e-3 or most >= 1e6:
            return [f"{tick:.1e}" if tick else "0" for tick in self.ticks]
        digits = max(len(f"{tick:.10f}".rstrip("0").partition(".")[2]) for tick in self.ticks)
        return [f"{tick:.{digits}f}" for tick in self.ticks]


def thinned(pairs: Pairs, columns: int) -> Pairs:
    """Return the means of even stretches where there are more than two pairs for a column."""
    if len(pairs) <= 2 * columns:
        return pairs
    groups = [
        pairs[i * len(pairs) // columns : (i + 1) * len(pairs) // columns] for i in range(columns)
    ]
    return [
        (group[len(group) // 2][0], sum(value for _, value in group) / len(group))
        for group in groups
    ]


def _round_step(rough: float) -> float:
    """Return the least of 1, 2, 2.5 and 5 times a power of ten that is not under `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def _exact(value: float) -> float:
    """Drop what binary fractions add: 0.30000000000000004 is 0.3."""
    return float(f"{value:.12g}")
