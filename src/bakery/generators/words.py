"""A text taken apart for judging: its words, its scripts, and how alike two texts are.

Works in every script. Where words are not separated by spaces, each sign counts as a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

_UNSPACED = frozenset({"HAN", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
_ONE_SCRIPT = {
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO"), "HAN"),
    **dict.fromkeys(("FULLWIDTH", "HALFWIDTH", "MATHEMATICAL", "MICRO", "KELVIN"), "LATIN"),
}
"""Scripts that one language writes side by side, and signs named otherwise than their script."""

_RUN = re.compile(r"(?:[^\W_]|[\u0300-\u036f\u0591-\u05c7\u0610-\u065f\u0900-\u0dff])+")
_CONTRACTED = {"n't": " not", "'s": " is", "'re": " are", "'m": " am", "'ve": " have",
               "'ll": " will", "'d": " would"}  # fmt: skip
_SHORT = re.compile(r"(?<=\w)(?:n't|'(?:s|re|m|ve|ll|d))\b")

# What English says in any question. In another language nothing is taken away.
_SAID_ANYWHERE = (
    "a an the is are was were be been am do does did can could will would shall should may might "
    "must to of in on at for with by from and or but that this these those it i you he she we "
    "they me my your his her our their there what which please tell have has had about some any "
    "so as s t"
)
_EMPTY = frozenset(_SAID_ANYWHERE.split())
ALIKE = 0.75
"""Two questions are alike from this share of their words on."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, English ones without contractions."""
    plain = text.casefold().replace("\u2019", "'")
    plain = _SHORT.sub(lambda match: _CONTRACTED[match[0]], plain)
    found: list[str] = []
    for run in _RUN.findall(plain):
        found += list(run) if script(run[0]) in _UNSPACED else [run]
    return found


def loops(text: str) -> bool:
    """Tell whether up to eight words or signs come three times in a row."""
    found = re.findall(r"\w+|[^\w\s]", text.casefold())
    return any(
        found[at : at + size] == found[at + size : at + 2 * size] == found[at + 2 * size :][:size]
        for size in range(1, 9)
        for at in range(len(found) - 3 * size + 1)
    )


def is_broken(answer: str) -> bool:
    """Tell whether an answer is not one: empty, in a loop, or less than half letters."""
    signs = [sign for sign in answer if not sign.isspace()]
    letters = sum(sign.isalpha() or sign.isdigit() for sign in signs)
    is_text = 2 * letters >= max(1, len(signs)) and "\ufffd" not in answer
    return loops(answer) or not is_text


@lru_cache(maxsize=4096)
def script(character: str) -> str:
    """Return the script of a letter by its name in Unicode; "" of anything else."""
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "").split(" ", 1)[0]
    return _ONE_SCRIPT.get(name, name)


def scripts(text: str) -> Counter[str]:
    """Count the letters of each script."""
    return Counter(found for found in map(script, text) if found)


class Alike:
    """Questions that are there, asked whether a new one says nearly the same."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._sets: list[frozenset[str]] = []
        self._having: defaultdict[str, list[int]] = defaultdict(list)
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Take a question in."""
        said = _said(text)
        for word in said:
            self._having[word].append(len(self._sets))
        self._sets.append(said)

    def has(self, text: str) -> bool:
        """Tell whether three quarters of the words are those of one question that is there."""
        said = _said(text)
        shared = Counter(at for word in said for at in self._having.get(word, ()))
        return any(n >= ALIKE * len(said | self._sets[at]) for at, n in shared.items())


def _said(text: str) -> frozenset[str]:
    """Return what a question is about: pairs of signs where there are no spaces."""
    found = words(text)
    telling = {_singular(word) for word in found} - _EMPTY
    if all(len(word) > 1 or word.isascii() for word in found):
        return frozenset(telling if len(telling) > 1 else found)
    return frozenset({*(a + b for a, b in pairwise(found)), *telling})


def _singular(word: str) -> str:
    ends = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isascii()
    return word[:-1] if ends else word
