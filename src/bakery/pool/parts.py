"""What is to be made, cut into parts: one for a process at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

SMALLEST, LARGEST = 16, 128
"""Rows of a part: fewer share too little of the computing, more would be lost with a process."""
TURNS = 2
"""Parts that each process gets, where there is enough: whoever is quick takes from the slow."""

Row = TypeVar("Row")


def cut(
    rows: Sequence[Row], actors: int, *, least: int = SMALLEST, most: int = LARGEST
) -> list[Sequence[Row]]:
    """Cut rows into parts of about the same size, neighbours together.

    Where there are more processes than parts of the smallest size, every process gets one.
    """
    if not rows:
        return []
    even = -(-len(rows) // actors)
    size = max(-(-len(rows) // (actors * TURNS)), min(least, even))
    count = -(-len(rows) // min(size, most))
    ends = [len(rows) * number // count for number in range(count + 1)]
    return [rows[a:b] for a, b in pairwise(ends)]
