"""Some two hundred texts on which ways to cut text into tokens differ, always the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

WRITTEN: list[str] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
"""Some of them hold tokens, and what looks like tokens."""

_SPACES = (
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\t \n", "\u00a0", "\u3000",
    "\u2009", "\u200b", "\ufeff", "\x0b", "\x0c", "\x85", "\u2028",
)  # fmt: skip
_WORDS = (
    "the", "Is", "IN", "can't", "42", "x1", "é", "世界", "👍🏽", "don’t", "_", "...", "¡", "ſ", "Ⅷ",
)  # fmt: skip


def texts() -> list[str]:
    """Return them all: those that are written out, and words between spaces of all kinds."""
    draw = random.Random(18)
    mixed = []
    for space in _SPACES:
        words = draw.choices(_WORDS, k=6)
        mixed.append(space + space.join(words) + draw.choice(_SPACES))
    for _ in range(40):
        mixed.append("".join(draw.choice(_WORDS) + draw.choice(_SPACES) for _ in range(8)))
    return [*dict.fromkeys((*WRITTEN, *mixed))]
