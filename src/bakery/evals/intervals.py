"""How sure a figure is: intervals over questions, as the tokens of one answer hang together."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bakery.card import Fidelity

Row = TypeVar("Row")

Sums = tuple[float, float, float, int]
"""Of a question: divergence before and after, agreeing tokens, and tokens."""

ROUNDS = 1000
Z95 = 1.96


def bootstrap(
    rows: Sequence[Row], figure: Callable[[Sequence[Row]], float], *, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of a figure, by drawing as many questions again and again."""
    rng = random.Random(seed)
    drawn = sorted(figure(rng.choices(rows, k=len(rows))) for _ in range(ROUNDS))
    return drawn[round(0.025 * (ROUNDS - 1))], drawn[round(0.975 * (ROUNDS - 1))]


def of_card(
    before: Mapping[str, Fidelity], after: Mapping[str, Fidelity]
) -> dict[str, list[float]]:
    """Return the 95 % intervals of a card's figures, by the question: of two on."""
    rows = [(before[key], after[key]) for key in after if key in before]
    if len(rows) < 2:
        return {}
    sums = [
        (one.kl * one.tokens, own.kl * own.tokens, own.top1_agreement * own.tokens, own.tokens)
        for one, own in rows
    ]

    def closed(drawn: Sequence[Sums]) -> float:
        there = sum(row[0] for row in drawn)
        return 1 - sum(row[1] for row in drawn) / there if there else 0.0

    def agreed(drawn: Sequence[Sums]) -> float:
        return sum(row[2] for row in drawn) / sum(row[3] for row in drawn)

    found = {"gap_closed": bootstrap(sums, closed), "top1_agreement": bootstrap(sums, agreed)}
    return {f"{name}_interval": [round(value, 4) for value in both] for name, both in found.items()}


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson, which is right at 0 and 1, too."""
    if not of:
        return 0.0, 1.0
    share, z2 = hits / of, Z95**2
    middle = share + z2 / (2 * of)
    half = Z95 * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return max(0.0, (middle - half) / (1 + z2 / of)), min(1.0, (middle + half) / (1 + z2 / of))
