"""A loss curve in plain text: one row for every stretch of steps.

Bars, not points: they read the same in a terminal, in a log and in a mail.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

ROWS = 16
BAR = 40


def chart(points: Sequence[tuple[int, float]], *, solid: str = "█") -> Table:
    """Return (step, value) pairs as at most `ROWS` rows: the mean over a stretch, and its bar."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("step", justify="right")
    table.add_column("loss", justify="right")
    table.add_column("")
    rows = stretches(points, ROWS)
    top = max((value for _, value in rows), default=0.0)
    for step, value in rows:
        length = round(BAR * value / top) if top > 0 else 0
        table.add_row(str(step), number(value), Text(solid * length, style="green"))
    return table


def stretches(points: Sequence[tuple[int, float]], rows: int) -> list[tuple[int, float]]:
    """Return the points in at most `rows` even groups: the last step of each, and its mean."""
    count = min(rows, len(points))
    groups = [
        points[i * len(points) // count : (i + 1) * len(points) // count] for i in range(count)
    ]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def number(value: float | None) -> str:
    """Return a loss or divergence with the digits that mean something."""
    if value is None:
        return "-"
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3f}"
