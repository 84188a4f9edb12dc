"""How sure a figure is: 95 % intervals, by bootstrap over questions or as Wilson's of a share.

Questions are drawn and not tokens: tokens of one answer depend on each other. The draws come from
a fixed seed, so that the same answers have the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bakery.card import Fidelity
from bakery.evals.figures import Figure, Unit

DRAWS = 2000
SEED = 0
Z = 1.959964
"""Standard deviations that 95 % of a normal distribution lie within."""
FEWEST = 2
"""Questions under which nothing can be drawn anew."""


def of_card(
    before: Mapping[str, Fidelity], after: Mapping[str, Fidelity]
) -> dict[str, list[float]]:
    """Return the 95 % intervals of a card's figures, by the question: of two on."""
    rows = [(before[key], after[key]) for key in after if key in before]
    there_N = np.array([one.kl * one.tokens for one, _ in rows])
    left_N = np.array([own.kl * own.tokens for _, own in rows])
    agreed_N = np.array([own.top1_agreement * own.tokens for _, own in rows])
    tokens_N = np.array([own.tokens for _, own in rows])
    left, top1 = _drawn(left_N, there_N), _drawn(agreed_N, tokens_N)
    found = {"gap_closed": left and (1 - left[1], 1 - left[0]), "top1_agreement": top1}
    return {
        f"{name}_interval": [round(value, 4) for value in both]
        for name, both in found.items()
        if both is not None
    }


def ratio(
    name: str,
    parts: Sequence[float],
    wholes: Sequence[float],
    unit: Unit,
    of: str,
    *,
    inverted: bool = False,
    n: int | None = None,
) -> Figure:
    """Return Σ parts / Σ wholes with its interval; `inverted`: 1 − that.

    One part and one whole a question. `n` is what they are counted as, where not by themselves.
    """
    top_N, bottom_N = np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)
    count = len(top_N) if n is None else n
    if not len(top_N) or bottom_N.sum() == 0:
        return Figure(name, None, unit, count, of, why="nothing was measured")
    found = float(top_N.sum() / bottom_N.sum())
    low, high = _drawn(top_N, bottom_N) or (None, None)
    if inverted:
        found = 1 - found
        low, high = (None if end is None else 1 - end for end in (high, low))
    return Figure(name, found, unit, count, of, low, high)


def mean(name: str, values: Sequence[float], unit: Unit, of: str) -> Figure:
    """Return the mean of one value a question, with its interval."""
    return ratio(name, values, [1.0] * len(values), unit, of)


def share(name: str, hits: int, n: int, of: str) -> Figure:
    """Return a share of yes and no with Wilson's interval, which holds at 0 and 1, too."""
    if not n:
        return Figure(name, None, "share", 0, of, why="nothing was measured")
    low, high = wilson(hits, n)
    return Figure(name, hits / n, "share", n, of, low, high)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927), which is right at 0 and 1, too."""
    if not n:
        return 0.0, 1.0
    p, z2 = hits / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _drawn(top_N: np.ndarray, bottom_N: np.ndarray) -> tuple[float, float] | None:
    """Return the interval of Σ top / Σ bottom; None: too few questions, or nothing below."""
    if len(top_N) < FEWEST or not bottom_N.any():
        return None
    at_DN = np.random.default_rng(SEED).integers(0, len(top_N), (DRAWS, len(top_N)))
    tops_D, bottoms_D = top_N[at_DN].sum(1), bottom_N[at_DN].sum(1)
    values_D = tops_D[bottoms_D != 0] / bottoms_D[bottoms_D != 0]
    low, high = np.quantile(values_D, [0.025, 0.975])
    return float(low), float(high)
