"""The text of a recipe in its blocks, one for each bake, found without reading YAML.

A block opens and closes with a comment that names its bake.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from bakery.repo.files import state

OPEN = "    # >>> bake "
CLOSE = "    # <<< bake "

_ID = re.compile(r"[0-9a-f]{16}")
_START = f"\n{OPEN}".encode()


@dataclass(slots=True)
class Shared:
    """What the recipes of many branches share, so that each block is searched and decoded once."""

    blocks: list[str] = field(default_factory=list)
    """Every distinct block so far."""
    _numbers: dict[str, int] = field(init=False)
    _known: dict[str, bytes] = field(default_factory=dict)
    _last: bytes = b""
    """The recipe before: the next one mostly begins as it does."""
    _found: list[tuple[str, bytes]] = field(default_factory=list)
    _chosen: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _same: int = 0
    """How many blocks the last two begin with alike."""

    def __post_init__(self) -> None:
        self._numbers = {block: number for number, block in enumerate(self.blocks)}

    def take_apart(self, data: bytes, source: str) -> tuple[str, list[int]]:
        """Return what stands outside the blocks of a recipe, and the numbers of its blocks."""
        same = self._same = self._begin_alike(data)
        first = self._ends[0] - len(self._found[0][1]) if same else 0
        begun = (data[:first], self._found[:same], self._ends[same - 1]) if same else None
        header, found = split(data, source, self._known, begun)
        new = found[same:]
        for bake_id, block in new:
            self._known.setdefault(bake_id, block)
        numbers = self._chosen[:same]
        numbers += [self.number(block.decode("utf-8", "replace")) for _, block in new]
        # Where nothing stands between the blocks, the next recipe may begin with the same ones.
        if b"\r" not in data and data.find(_START) + 1 == len(header):
            at = self._ends[same - 1] if same else len(header)
            ends = accumulate((len(block) for _, block in new), initial=at)
            self._ends = self._ends[:same] + list(ends)[1:]
            self._last, self._found, self._chosen = data, found, numbers
        return header.decode("utf-8", "replace"), numbers

    def number(self, block: str) -> int:
        """Return the number of a block, which is a new one where it is not known."""
        number = self._numbers.setdefault(block, len(self.blocks))
        if number == len(self.blocks):
            self.blocks.append(block)
        return number

    def _begin_alike(self, data: bytes) -> int:
        """Return with how many blocks a recipe begins as the last one did."""
        before, count = self._same, len(self._ends)
        if (
            0 < before < count
            and self._is_alike(data, before)
            and not self._is_alike(data, before + 1)
        ):
            return before
        return bisect_left(range(1, count + 1), True, key=lambda n: not self._is_alike(data, n))

    def _is_alike(self, data: bytes, blocks: int) -> bool:
        return data.startswith(memoryview(self._last)[: self._ends[blocks - 1]])


def id_of(block: str) -> str:
    """Return the id of the bake that a block records."""
    return block[len(OPEN) : len(OPEN) + 16]


def split(
    data: bytes,
    source: str,
    known: Mapping[str, bytes] | None = None,
    begun: tuple[bytes, Sequence[tuple[str, bytes]], int] | None = None,
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return what stands outside the blocks, and the blocks; `known` ones are not searched.

    `begun`: what stands before the first blocks, these, and where the last of them ends.
    """
    known = known or {}
    pieces: list[bytes] = []
    found: dict[str, bytes] = {}
    read: list[bytes] = []
    if begun is None:
        data = data.replace(b"\r\n", b"\n") if b"\r" in data else data
        at = 0
    else:
        before, blocks, at = begun
        found = dict(blocks)
        pieces.append(before)
        if data.find(b"\r\n", at) >= 0:
            return split(data, source)
    start = data.find(_START, max(at - 1, 0))
    while start >= 0:
        pieces.append(data[at : start + 1])
        named = start + len(_START)
        bake_id = data[named : named + 16].decode("ascii", "replace")
        block = known.get(bake_id)
        if block is None or not data.startswith(block, start + 1):
            block = _block_at(data, start, bake_id)
            read.append(block or b"")
        if block is None or bake_id in found:
            state.refuse_conflict(data.decode("utf-8", "replace"), source)
            line = data.count(b"\n", 0, start) + 2
            raise state.damaged(
                f"{source}:{line}", f"the block of bake {bake_id} is incomplete, or there twice"
            )
        found[bake_id] = block
        at = start + 1 + len(block)
        start = data.find(_START, at - 1)
    pieces.append(data[at:])
    if any(b"<<<<<<<" in piece or b">>>>>>>" in piece for piece in (*pieces, *read)):
        state.refuse_conflict(data.decode("utf-8", "replace"), source)
    return b"".join(pieces), list(found.items())


def _block_at(data: bytes, start: int, bake_id: str) -> bytes | None:
    """Return the block that opens at `start`; None where it is not whole."""
    closing = f"\n{CLOSE}{bake_id}\n".encode()
    end = data.find(closing, start)
    following = data.find(_START, start + 1)
    if end < 0 or 0 <= following < end or not _ID.fullmatch(bake_id):
        return None
    return data[start + 1 : end + len(closing)]
