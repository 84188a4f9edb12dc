"""Two texts word by word: what stays, what goes and what comes, in hunks with lines around them.

Lines are matched first, so that a long text takes no longer than its changes; blanks do not count.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

AROUND = 3
"""Unchanged lines that are shown before and after a change."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that are in both texts (`same`), or only in the `old` or the `new` one."""

    kind: Literal["same", "old", "new"]
    text: str


Line = tuple[Piece, ...]
Hunk = tuple[Line, ...]


def hunks(old: str, new: str) -> tuple[Hunk, ...]:
    """Return where two texts differ; none where they say the same."""
    before, after = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    found = []
    for group in matcher.get_grouped_opcodes(AROUND):
        lines: list[Line] = []
        for kind, start, stop, first, last in group:
            if kind == "equal":
                lines += [(Piece("same", line),) for line in after[first:last]]
            else:
                lines += _lines(
                    _pieces("\n".join(before[start:stop]), "\n".join(after[first:last]))
                )
        found.append(tuple(lines))
    return tuple(found)


def _pieces(old: str, new: str) -> Iterator[Piece]:
    """Yield what of two texts is in both, and what in one, in their order."""
    ours, theirs = re.findall(r"\s*\S+", old), re.findall(r"\s*\S+", new)
    words = [word.strip() for word in ours], [word.strip() for word in theirs]
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    for kind, start, stop, first, last in matcher.get_opcodes():
        gone, come = "".join(ours[start:stop]), "".join(theirs[first:last])
        if kind == "equal":
            yield Piece("same", come)
            continue
        # Blanks in front stand outside of the marks, as in git's word diff.
        text = come or gone
        if blank := text[: len(text) - len(text.lstrip())]:
            yield Piece("same", blank)
        if gone:
            yield Piece("old", gone.lstrip())
        if come:
            yield Piece("new", come.lstrip())


def _lines(pieces: Iterator[Piece]) -> Sequence[Line]:
    """Return pieces line by line."""
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        for number, text in enumerate(piece.text.split("\n")):
            if number:
                lines.append([])
            if text:
                lines[-1].append(Piece(piece.kind, text))
    return [tuple(line) for line in lines]
