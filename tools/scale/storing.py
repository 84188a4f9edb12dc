"""Bytes that bakes leave, over a year: as they are stored, and as they could be.

A bake's file has its parent's ranks before its own, bit for bit. An object is a whole file, so
those ranks are stored again; only whole files that are the same are there once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scale.inputs import Inputs
from scale.work import BASES, BF16, FP32, HEADER

SEED = 7


@dataclass(frozen=True, slots=True)
class Stored:
    """What a time of bakes comes to."""

    bakes: int
    longest: int
    """Bakes of the repository that has most."""
    compressed: int
    """Bakes whose parent was compressed first."""
    composed: float
    """Bytes of weights, as they are pushed: every file whole."""
    sliced: float
    """Each bake's own ranks once, and a compressed parent beside them."""
    own: float
    """Each bake's own ranks alone: a compressed parent is worked out again from them."""
    halved: float
    """The same in bf16."""


def bakes(days: float, given: Inputs, *, skewed: bool) -> Stored:
    """Draw whose each bake is, and add up what they store.

    Evenly, or by Zipf's law: the n-th busiest of the repositories bakes 1 / n as often.
    """
    random = np.random.default_rng(SEED)
    repositories, count = int(given["repositories"]), round(given["bakes_a_day"] * days)
    weights = 1 / np.arange(1, repositories + 1) if skewed else np.ones(repositories)
    totals = random.multinomial(count, weights / weights.sum())
    shares = np.array([given[f"share_{base.key}"] for base in BASES])
    kinds = random.choice(len(BASES), repositories, p=shares / shares.sum())
    rank_bytes = np.array([base.rank_bytes(FP32) for base in BASES])[kinds]
    rank, most = int(given["rank"]), int(given["most_ranks"])
    whole = most // rank
    short = np.minimum(totals, whole)
    past = totals - short
    # 1 + 2 + … ranks up to the limit, and all of them from there on.
    composed_ranks = rank * short * (short + 1) // 2 + past * most
    sliced_ranks = rank * totals + past * (most - rank)
    composed = float((composed_ranks * rank_bytes).sum())
    sliced = float((sliced_ranks * rank_bytes).sum())
    own = float((rank * totals * rank_bytes).sum())
    header = float(count * HEADER)
    return Stored(
        bakes=count,
        longest=int(totals.max()),
        compressed=int(past.sum()),
        composed=composed + header,
        sliced=sliced + header,
        own=own + header,
        halved=own * BF16 / FP32 + header,
    )


def pushed(given: Inputs, *, skewed: bool) -> float:
    """Return the bytes of weights that an average bake pushes, over a year."""
    year = bakes(365, given, skewed=skewed)
    return year.composed / year.bakes
