"""What differs between the answers of a comparison, word by word, from the prompted one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from bakery.conversation import Answer

REFERENCE = "prompted"
"""Whose answer the others are held against: a bake is to be it without the prompt."""

SHOWN = 60
"""Characters of what differs that are named."""


def pieces(reference: str, text: str) -> list[tuple[str, bool]]:
    """Return a text in pieces, each with whether it is not in the reference at that place."""
    old, new = re.findall(r"\S+", reference), re.findall(r"\s*\S+", text)
    said = [word.strip() for word in new]
    found: list[tuple[str, bool]] = []
    matcher = difflib.SequenceMatcher(None, old, said, autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if start < end:
            found.append(("".join(new[start:end]), kind != "equal"))
    return found


def summaries(answers: Sequence[Answer]) -> list[str]:
    """Return for each other answer how far it is from the prompted one; none where that is not."""
    reference = next((one.text for one in answers if one.label == REFERENCE), None)
    if reference is None:
        return []
    return [
        f"{one.label:<9} {_told(reference, one.text)}" for one in answers if one.label != REFERENCE
    ]


def _told(reference: str, text: str) -> str:
    other = [piece for piece, differs in pieces(reference, text) if differs]
    words, count = len(text.split()), sum(len(piece.split()) for piece in other)
    missing = len(reference.split()) - (words - count)
    if not count and not missing:
        return f"as {REFERENCE}, word for word"
    if not count:
        return f"leaves out {missing} {_words(missing)} of what {REFERENCE} says"
    shown = " … ".join(" ".join(piece.split()) for piece in other)
    shown = shown if len(shown) <= SHOWN else shown[: SHOWN - 1] + "…"
    return f"{count} of {words} {_words(words)} not as {REFERENCE}: {shown}"


def _words(count: int) -> str:
    return "word" if count == 1 else "words"
