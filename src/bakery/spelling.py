"""The known names that a misspelt one most likely means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LEAST = 0.6
"""How alike two words have to be, from 0 to 1."""

CLOSE = 0.1
"""How much less alike than the likeliest another may be."""

LONGEST = 100
"""Characters of a word that are looked at."""


def nearest(word: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return up to so many known names, the likeliest first; none where none is alike.

    A part of a name counts as well: `shp` is near `ship_target`.
    """
    word = word[:LONGEST].lower()
    scores = {name: _score(word, name.lower()) for name in dict.fromkeys(known) if name}
    least = max([LEAST, *(score - CLOSE for score in scores.values())])
    found = [name for name in scores if scores[name] >= least]
    return sorted(found, key=lambda name: (-scores[name], len(name)))[:most]


def _score(word: str, name: str) -> float:
    """Return how alike a word is to a name, or a bit less, to a part of it."""
    whole = _ratio(word, name)
    if len(name) > len(word) >= 3 and name.startswith(word):
        whole = max(whole, 0.9)
    parts = [part for part in re.split(r"[_/.-]", name) if len(part) >= 3]
    return max([whole, *(0.95 * _ratio(word, part) for part in parts)])


def _ratio(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word, name[:LONGEST]).ratio()
