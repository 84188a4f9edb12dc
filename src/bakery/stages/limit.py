"""At what length answers are cut where nobody says: some of them show it.

An answer that runs on and on costs many times what a usual one costs, and teaches running on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bakery import json_file
from bakery.backends.base import Answer
from bakery.generators.words import loops
from bakery.records import write_atomic

FILE = "limit.json"

LIMITS = (32, 48, 64, 96, 128, 192, 256, 384)
"""Tokens at which answers may be cut; else at the most that was asked for."""

ENDLESS = 1 << 30
ROOM = (64, 192, ENDLESS)
"""Tokens that the answers looked at may have, one after the other, until few are cut."""

MOST_LONGER = 1 / 16
"""The share of those that may be longer: of all, fewer than 1 in 10 are cut then, most likely. With
half of it half of the limits were 256, and 1 in 20 answers most of all tokens (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At how many tokens answers are cut, and what of those looked at says so."""

    max_tokens: int
    looked_at: int
    longer: int
    """Of those looked at."""

    def __str__(self) -> str:
        return (
            f"answers are cut at {self.max_tokens} tokens: of {self.looked_at} looked at, "
            f"{self.longer or 'none'} {'is' if self.longer == 1 else 'are'} longer "
            "(TARGET.max_tokens sets another limit)"
        )


def chosen(answers: Sequence[Answer], most: int) -> Limit:
    """Return where answers like these are cut, which were at `most` tokens.

    Where too many never end, those that do end say it.
    """
    lengths = [length(answer) for answer in answers]
    ended = [length(answer) for answer in answers if not is_cut(answer)]
    for seen in (lengths, ended):
        for limit in (*(limit for limit in LIMITS if limit < most), most):
            longer = sum(tokens > limit for tokens in seen)
            if seen and longer <= MOST_LONGER * len(seen):
                return Limit(limit, len(lengths), sum(tokens > limit for tokens in lengths))
    return Limit(most, len(lengths), len(lengths) - len(ended))


def is_enough(answers: Sequence[Answer]) -> bool:
    """Tell whether more room would show nothing new: few are cut, or they go in circles."""
    still = sum(is_cut(answer) and not loops(answer.text) for answer in answers)
    return still <= MOST_LONGER * len(answers)


def is_cut(answer: Answer) -> bool:
    """Tell whether an answer had no room to come to its end."""
    return answer.finish == "length"


def length(answer: Answer) -> int:
    """Return how many tokens an answer has; more than any limit where it was cut."""
    return ENDLESS if is_cut(answer) else len(answer.ids)


def written(out: Path) -> Limit | None:
    """Return the limit that an earlier run found; None: there is none, or its file is damaged."""
    try:
        data = json_file.load_object(out / FILE)
        found = [count for name in Limit.__slots__ if json_file.is_whole(count := data.get(name))]
        return Limit(*found) if len(found) == len(Limit.__slots__) else None
    except (OSError, ValueError):
        return None


def write(out: Path, limit: Limit) -> None:
    """Write a limit down, for a run that goes on and for whoever answers in the same way."""
    data = {name: getattr(limit, name) for name in Limit.__slots__}
    write_atomic(out / FILE, json.dumps(data) + "\n")
