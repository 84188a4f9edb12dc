"""How often an epoch has an answer: what is written out, replayed, or holds the parent."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import cycle, islice

from bakery.defaults import times_for
from bakery.engine.text.views import Pair
from bakery.shares import REPLAY, TargetShare

Drawn = tuple[TargetShare, Sequence[Pair]]
"""A target, and its answers in the order in which they are taken."""


def taught(chosen: Sequence[Pair], written: Collection[str], least: int) -> list[Pair]:
    """Return pairs as often as an epoch has them: more often those `written` out, by their keys."""
    times = times_for(len(written), len(chosen) - len(written), least)
    return [pair for pair in chosen for _ in range(times if pair.key in written else 1)]


def beside(taught: Sequence[Pair], drawn: Sequence[Drawn]) -> list[Pair]:
    """Return what an epoch has besides what is taught: replayed answers, then anchors.

    What is taught stays what it is: replayed answers come on top, until they are their share of
    both. With T tokens of these, anchors of the weight w have w·T: the loss is that of the mix and
    w · KL(parent ‖ student) on the anchors, over 1 + w. Few answers are taken several times.
    """
    again = [one for one in drawn if one[0].role == REPLAY and one[1]]
    replay = sum(share.weight for share, _ in again)
    wanted = [share.weight / (1 - replay) * len(taught) for share, _ in again]
    counts = apportioned(wanted)
    replayed = [
        pair
        for (_, pairs), count in zip(again, counts, strict=True)
        for pair in islice(cycle(pairs), count)
    ]
    tokens = sum(pair.num_targets for pair in [*taught, *replayed])
    anchors = [one for one in drawn if one[0].role != REPLAY and one[1]]
    return [
        *replayed,
        *(pair for share, pairs in anchors for pair in _of_tokens(pairs, share.weight * tokens)),
    ]


def _of_tokens(pairs: Sequence[Pair], wanted: float) -> Iterator[Pair]:
    """Yield pairs in turn, one at least, until they have about so many targets."""
    there = 0
    for pair in cycle(pairs):
        if there and there + pair.num_targets / 2 > wanted:
            return
        yield pair
        there += pair.num_targets


def apportioned(exact: Sequence[float]) -> list[int]:
    """Round numbers so that they still add up: the largest remainders are rounded up."""
    counts = [int(number + 1e-9) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: round(sum(exact)) - sum(counts)]:
        counts[i] += 1
    return counts
