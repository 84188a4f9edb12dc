"""The sentences of a prompt, and how much of each was learnt, as lines of a card."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bakery.verdict import Covered

MOST, ROOM = 8, 30
"""Sentences that a card shows, and the signs that each may take."""


def rows(coverage: Sequence[Covered]) -> Iterator[tuple[str, str]]:
    """Yield a line for each sentence in its order; of many, those that are learnt least."""
    worst = sorted(coverage, key=_learnt)[:MOST]
    shown = [one for one in coverage if one in worst]
    for at, one in enumerate(shown):
        yield ("learnt of each sentence" if not at else "", _line(one))
    if len(coverage) > len(shown):
        yield "", f"and {len(coverage) - len(shown)} that are learnt better"


def _learnt(one: Covered) -> tuple[bool, float]:
    return one.asked > 0, 1.0 if one.gap_closed is None else one.gap_closed


def _line(one: Covered) -> str:
    text = textwrap.shorten(one.sentence, ROOM, placeholder=" …")
    if not one.asked:
        return f"{text}  no effect seen"
    if one.gap_closed is None:
        return f"{text}  nothing to learn"
    return f"{text}  {100 * one.gap_closed:.1f} %, {one.asked} question{'s' * (one.asked != 1)}"
