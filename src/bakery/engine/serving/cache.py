"""What prompts begin with, run once for each mix: keys and values by mix and ids, in a budget.

A tree of each mix: a node has what several prompts share, its children how they go on. What is
kept of one mix is never given to another. Shapes: J heads of keys · n tokens · d head size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from bakery.engine.packed.layouts import KeysValues, Prefix
from bakery.engine.packed.prefixes import common
from bakery.engine.serving.asking import Mix

Layers = dict[int, KeysValues]
"""Keys and values (J, n, d) by layer."""

CONTIGUOUS = torch.contiguous_format


@dataclass(slots=True, eq=False)
class _Node:
    """Some tokens behind those of its parents, and their keys and values (J, n, d)."""

    ids: tuple[int, ...]
    layers: Layers
    parent: _Node | None = None
    children: dict[int, _Node] = field(default_factory=dict)
    mix: Mix | None = None
    """Of a root, which has no tokens, whose tree it is."""


class PrefixCache:
    """Keys and values of prompts, until newer ones need the room: `most_bytes` for all together."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._roots: dict[Mix, _Node] = {}
        self._used: OrderedDict[_Node, None] = OrderedDict()
        """By use. A node is used with its children and after them, so the oldest has none."""
        self._last: tuple[list[Layers], int, Prefix | None] = [], 0, None
        self.size = 0
        """How many bytes it takes now."""

    def fits(self, prompts: Sequence[int], bytes_per_token: int) -> bool:
        """Whether a prompt could be kept."""
        return len(prompts) * bytes_per_token <= self._most

    def find(self, mix: Mix, ids: Sequence[int]) -> Prefix | None:
        """Return what is kept of the beginning of a prompt, short of its last token.

        Prompts with the same beginning, one after the other, are given one and the same.
        """
        path = self._path(mix, tuple(ids[:-1]))
        if not path:
            return None
        self._touch(path[-1][0])
        count = sum(count for _, count in path)
        parts = [node.layers for node, _ in path]
        before, length, prefix = self._last
        same = len(before) == len(parts) and all(a is b for a, b in zip(before, parts, strict=True))
        if not same or length != count or prefix is None:
            prefix = Prefix(count, between(parts, 0, count))
            self._last = parts, count, prefix
        return prefix

    def keep(self, mix: Mix, ids: Sequence[int], pieces: Sequence[Layers]) -> None:
        """Keep the keys and values of a prompt, as far as its beginning is not there.

        `pieces` are those of all its tokens, one behind the other.
        """
        ids = tuple(ids)
        path = self._path(mix, ids)
        known = sum(count for _, count in path)
        if sum(map(_size, pieces)) * (len(ids) - known) // len(ids) > self._most:
            return
        node = path[-1][0] if path else self._roots.setdefault(mix, _Node((), {}, mix=mix))
        if path and path[-1][1] < len(node.ids):
            node = self._split(node, path[-1][1])
        if known < len(ids):
            own = _Node(ids[known:], _copied(between(pieces, known, len(ids))), node)
            node.children[own.ids[0]] = own
            self.size += _size(own.layers)
            node = own
        self._touch(node)
        while self.size > self._most:
            self._drop(next(iter(self._used)))

    def _path(self, mix: Mix, ids: tuple[int, ...]) -> list[tuple[_Node, int]]:
        """Return the nodes that a prompt begins with, and how many tokens of each it has."""
        found = []
        node, at = self._roots.get(mix), 0
        while node is not None and at < len(ids) and (child := node.children.get(ids[at])):
            count = common(child.ids, ids[at : at + len(child.ids)])
            found.append((child, count))
            at += count
            node = child if count == len(child.ids) else None
        return found

    def _split(self, node: _Node, count: int) -> _Node:
        """Put a node of its first tokens above what is left of it, and return that."""
        assert node.parent is not None  # a root has no tokens
        above = _Node(node.ids[:count], _copied(between([node.layers], 0, count)), node.parent)
        node.parent.children[node.ids[0]] = above
        node.layers = _copied(between([node.layers], count, len(node.ids)))
        node.ids, node.parent = node.ids[count:], above
        above.children[node.ids[0]] = node
        return above

    def _touch(self, node: _Node) -> None:
        """Note that a node was used, and then all that it stands behind."""
        while node.parent is not None:
            self._used[node] = None
            self._used.move_to_end(node)
            node = node.parent

    def _drop(self, node: _Node) -> None:
        """Take a node out that has no children."""
        above = node.parent
        assert above is not None  # a root is not among those that are used
        self.size -= _size(node.layers)
        del self._used[node], above.children[node.ids[0]]
        if above.mix is not None and not above.children:
            del self._roots[above.mix]


def between(pieces: Sequence[Layers], start: int, stop: int) -> Layers:
    """Return some tokens of pieces that stand one behind the other; a view, where one has them."""
    cut: list[Layers] = []
    for piece in pieces:
        length = next(iter(piece.values()))[0].shape[1]
        if start < min(stop, length):
            cut.append({n: (k[:, start:stop], v[:, start:stop]) for n, (k, v) in piece.items()})
        start, stop = max(0, start - length), max(0, stop - length)
    if len(cut) == 1:
        return cut[0]
    return {
        n: (
            torch.cat([piece[n][0] for piece in cut], dim=1),
            torch.cat([piece[n][1] for piece in cut], dim=1),
        )
        for n in cut[0]
    }


def _size(layers: Layers) -> int:
    return sum(k.nbytes + v.nbytes for k, v in layers.values())


def _copied(layers: Layers) -> Layers:
    """Copy what is a view, so that the memory of the rest can go."""
    return {
        n: (k.clone(memory_format=CONTIGUOUS), v.clone(memory_format=CONTIGUOUS))
        for n, (k, v) in layers.items()
    }
