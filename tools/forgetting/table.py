"""Chains in, tables out: a forgetting matrix for each way, and what is left in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

Row = Mapping[str, Any]


def text(rows: Sequence[Row]) -> str:
    """Return the tables of all that was measured, base by base, as Markdown."""
    lines: list[str] = []
    for base in dict.fromkeys(row["base"] for row in rows):
        mine = [row for row in rows if row["base"] == base]
        ways = {way: [r for r in mine if r["way"] == way] for way in dict.fromkeys(_ways(mine))}
        lines += [f"## {base}", "", *_ends(ways)]
        for way, own in ways.items():
            lines += ["", f"{way}, {len(own)} seeds: gap closed, and checks that are right", ""]
            lines += _matrix(own)
    return "\n".join(lines)


def _ways(rows: Sequence[Row]) -> Iterator[str]:
    return (row["way"] for row in rows)


def _matrix(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a row a target and a column a bake: the mean over seeds, with the range."""
    names = list(rows[0]["gap"])
    yield f"| target | {' | '.join(f'after {name}' for name in names)} |"
    yield f"|---{'|---' * len(names)}|"
    for at, name in enumerate(names):
        cells = [""] * at
        for place in range(len(names) - at):
            gap, right = ([row[of][name][place] for row in rows] for of in ("gap", "right"))
            cells.append(f"{ranged(gap)}; {100 * fmean(right):.0f} %")
        yield f"| {name} | {' | '.join(cells)} |"


def _ends(ways: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Yield what is left after the last bake: of all targets, of the earlier ones, of the last."""
    yield "| way | gap closed, all | earlier ones | the last | right, all | drift | CPU s |"
    yield "|---|---|---|---|---|---|---|"
    for way, rows in ways.items():
        gaps = [[cells[-1] for cells in row["gap"].values()] for row in rows]
        right = [fmean(cells[-1] for cells in row["right"].values()) for row in rows]
        cells = (
            ranged([fmean(one) for one in gaps]),
            ranged([fmean(one[:-1]) for one in gaps]),
            ranged([one[-1] for one in gaps]),
            ranged(right),
            f"{fmean(row['drift'][-1] for row in rows):.3f}",
            f"{fmean(row['cpu_s'] for row in rows):.0f}",
        )
        yield f"| {way} | {' | '.join(cells)} |"


def ranged(values: Sequence[float]) -> str:
    """Return a mean of shares in percent, with the lowest and the highest where they differ."""
    low, high = f"{100 * min(values):.1f}", f"{100 * max(values):.1f}"
    mean = f"{100 * fmean(values):.1f}"
    return mean if low == high else f"{mean} ({low} to {high})"
