"""What was measured while a side learnt, and when it had closed so much of the gap. Pure.

The gap is the divergence from the prompted model before anything is learnt. Between two
measurements the share that is closed is taken to grow evenly with the CPU seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SHARES = (0.5, 0.8, 0.9)
"""The shares of the gap whose time is told."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: after which step, at how many CPU seconds, nats per token."""

    step: int
    cpu_s: float
    kl: float

    def closed(self, before: float) -> float:
        """Return the share of the gap that is closed; negative where it has grown."""
        return 1.0 - self.kl / before


def reached(points: Sequence[Point], before: float, share: float) -> float | None:
    """Return the CPU seconds at which a share of the gap is closed first; None: never.

    A side that begins beyond it has it at its first measurement.
    """
    if points and points[0].closed(before) >= share:
        return points[0].cpu_s
    for a, b in pairwise(points):
        low, high = a.closed(before), b.closed(before)
        if low < share <= high:
            return a.cpu_s + (b.cpu_s - a.cpu_s) * (share - low) / (high - low)
    return None


def best(points: Sequence[Point], before: float) -> float:
    """Return the largest share that was closed at any measurement."""
    return max((point.closed(before) for point in points), default=0.0)


def is_due(step: int) -> bool:
    """Tell whether the model is measured after a step: at first often, then ever more seldom."""
    due = 0
    while due < step:
        due += max(1, due // 2)
    return due == step
