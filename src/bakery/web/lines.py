"""A lineage as lines of bakes: in each, the lower one was baked on the upper one.

Where several were baked on one, the line goes on to the current model, or with the most bakes, and
the others leave it: however long a history is, it is nested no deeper than its forks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bakery.repo.history.lineage import Branch, Lineage, Node

LARGE = 100
"""Bakes from which on what is of no note is folded away."""

LEAST = 8
"""Fewer in a row are not worth a click."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A bake in its line, and the lines that leave it there. `node` None: the base model."""

    node: Node | None
    places: tuple[Branch, ...]
    sides: tuple[Line, ...]

    @property
    def is_current(self) -> bool:
        """Whether it is the model of the branch that is checked out here."""
        return any(place.is_current for place in self.places)


@dataclass(frozen=True, slots=True)
class Line:
    """Spots from the first to the last; in a large tree some are folded away."""

    parts: tuple[Spot | Fold, ...]

    @property
    def count(self) -> int:
        """How many bakes are in it, and in what leaves it."""
        return sum(_count(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Fold:
    """A stretch of a line that is shown when it is asked for."""

    line: Line
    is_side: bool = False
    """Whether it is a whole line that leaves another."""

    @property
    def count(self) -> int:
        """How many bakes are in it."""
        return self.line.count

    @property
    def last(self) -> Spot:
        """Where it leads to."""
        part = self.line.parts[-1]
        return part.last if isinstance(part, Fold) else part


def line(lineage: Lineage) -> Line:
    """Return the line that begins with the base model."""
    return _Tree(lineage).whole()


@dataclass(slots=True)
class _Tree:
    lineage: Lineage
    _sizes: dict[str, int] = field(default_factory=dict)
    _ahead: set[str] = field(default_factory=set)
    """Ids of bakes from which the way leads to the current model."""

    def whole(self) -> Line:
        nodes = [node for _, node in self.lineage.walk()]
        for node in reversed(nodes):  # children before their parents
            below = node.children
            self._sizes[node.bake.id] = 1 + sum(self._sizes[one.bake.id] for one in below)
            if node.is_current or any(one.bake.id in self._ahead for one in below):
                self._ahead.add(node.bake.id)
        return self._from(None, self.lineage.at_base, self.lineage.roots)

    def _from(self, node: Node | None, places: tuple[Branch, ...], below: Sequence[Node]) -> Line:
        """Return the line that goes on from a node; the base is none of the tree."""
        is_large = (self._sizes[node.bake.id] if node else len(self._sizes)) >= LARGE
        spots = []
        while True:
            follower = max(below, key=self._weight, default=None)
            sides = [one for one in below if one is not follower]
            spots.append(Spot(node, places, tuple(map(self._side, sides))))
            if follower is None:
                return Line(tuple(_folded(spots) if is_large else spots))
            node, places, below = follower, follower.places, follower.children

    def _side(self, node: Node) -> Line:
        found = self._from(node, node.places, node.children)
        is_of_note = node.bake.id in self._ahead or found.count < LEAST
        if is_of_note or len(self._sizes) < LARGE:
            return found
        return Line((Fold(found, is_side=True),))

    def _weight(self, node: Node) -> tuple[bool, int]:
        return node.bake.id in self._ahead, self._sizes[node.bake.id]


def _folded(spots: Sequence[Spot]) -> Iterator[Spot | Fold]:
    """Yield a line with its plain stretches folded; its first and its last spot stay."""
    plain: list[Spot] = []
    for at, spot in enumerate(spots):
        if 0 < at < len(spots) - 1 and _is_plain(spot):
            plain.append(spot)
            continue
        yield from _fold(plain)
        plain = []
        yield spot


def _is_plain(spot: Spot) -> bool:
    """Tell whether nothing stands at a bake, and nothing leaves the line there."""
    return not spot.places and not spot.sides


def _fold(plain: list[Spot]) -> Sequence[Spot | Fold]:
    return [Fold(Line(tuple(plain)))] if len(plain) >= LEAST else plain


def _count(part: Spot | Fold) -> int:
    if isinstance(part, Fold):
        return part.count
    return (part.node is not None) + sum(side.count for side in part.sides)
