"""Which model a server answers as: what it says to the probes of a bake, beside what they hold.

A distance is that of two lists of likely first tokens: Σ max(p, q) · |ln p − ln q| over the tokens
of either, in nats. What a list does not name is as likely as the least likely that both may name.
Beginnings may be certain where the rest is not, so each token of an answer counts, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

NEAR = 0.1
"""Of the distance between bake and base: who is further from both is neither."""
OFF = 0.3
"""Nats at a likely token: who is off by more is neither. bfloat16 on `tiny` is off by 0.09."""
AGREED = 0.75
"""Of the answers that have to be those of the bake, or of its base."""
LITTLE = 0.01
"""Nats a probe under which bake and base begin alike, so that beginnings tell nothing."""
ROUNDED = 0.01
"""Nats at a likely token from which it is not the arithmetic that the bake was measured with."""
LIKELY = 0.01
"""A probability: less likely tokens are left out of the largest difference."""

Is = Literal["bake", "base", "other", "alike"]
Likeliest = Mapping[str, float]
"""Log probabilities of the likeliest first tokens, by their text."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What somebody says to a probe; `first` None: a server that gives no log probabilities.

    `each` are those of the tokens of the answer, as far as they are known.
    """

    text: str
    first: Likeliest | None
    each: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """What the bake and its base say to it."""

    question: str
    baked: Heard
    base: Heard


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found. Distances are means over the probes, in nats; None without log probabilities.

    `as_bake`, `as_base`: how many answers are the bake's and the base's.
    """

    probes: int
    as_bake: int
    as_base: int
    from_bake: float | None
    from_base: float | None
    apart: float | None
    """How far bake and base are from each other."""
    off_bake: float | None
    off_base: float | None
    """The largest difference from either at a likely first token, or at a token of the answers that
    are its own."""

    @property
    def what(self) -> Is:
        """Which of the two it is; `alike`: the probes do not tell bake and base apart."""
        by_text = self.as_bake != self.as_base or self.as_bake < self.probes
        near_bake = self._is_near(self.from_bake, self.off_bake)
        near_base = self._is_near(self.from_base, self.off_base)
        if near_bake and near_base and not by_text:
            return "alike"
        fewest = AGREED * self.probes
        is_bake = near_bake and self.as_bake >= fewest
        is_base = near_base and self.as_base >= fewest
        if is_bake and is_base:
            return "bake" if self.as_bake >= self.as_base else "base"
        return "bake" if is_bake else "base" if is_base else "other"

    def _is_near(self, far: float | None, off: float | None) -> bool:
        """Tell whether nothing is known against it by log probabilities."""
        if far is None or off is None or self.apart is None:
            return True
        return off <= OFF and far <= max(NEAR * self.apart, LITTLE)

    @property
    def is_rounded(self) -> bool:
        """Whether it computes with less precision than the bake was measured with."""
        return self.off_bake is not None and self.off_bake >= ROUNDED


def figures(probes: Sequence[Probe], heard: Sequence[Heard]) -> Figures:
    """Return how near a server's answers are to those of a bake, and of its base."""
    both = list(zip(probes, heard, strict=True))
    lists = [(p.baked.first, p.base.first, h.first) for p, h in both]
    known = [(a, b, c) for a, b, c in lists if a and b and c]
    told = len(known) == len(both) and bool(known)
    mean = len(known) or 1
    return Figures(
        len(both),
        sum(h.text == p.baked.text for p, h in both),
        sum(h.text == p.base.text for p, h in both),
        sum(apart(c, a) for a, _, c in known) / mean if told else None,
        sum(apart(c, b) for _, b, c in known) / mean if told else None,
        sum(apart(a, b) for a, b, _ in known) / mean if told else None,
        max(_off(h, p.baked) for p, h in both) if told else None,
        max(_off(h, p.base) for p, h in both) if told else None,
    )


def apart(one: Likeliest, other: Likeliest) -> float:
    """Return the distance of two lists of likely tokens, in nats."""
    least = max(min(one.values()), min(other.values()))
    found = 0.0
    for token in {*one, *other}:
        a, b = (max(side.get(token, least), least) for side in (one, other))
        found += math.exp(max(a, b)) * abs(a - b)
    return found


def _off(heard: Heard, held: Heard) -> float:
    """Return the largest difference at a token that either takes for likely, or that both say."""
    one, other = heard.first or {}, held.first or {}
    least = max(min(one.values()), min(other.values()))
    sides = [
        [max(side.get(token, least), least) for token in {*one, *other}] for side in (one, other)
    ]
    first = [abs(a - b) for a, b in zip(*sides, strict=True) if max(a, b) >= math.log(LIKELY)]
    is_same = heard.text == held.text and len(heard.each) == len(held.each)
    each = [abs(a - b) for a, b in zip(heard.each, held.each, strict=True)] if is_same else []
    return max([*first, *each], default=0.0)
