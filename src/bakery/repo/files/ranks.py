"""Whose ranks the adapter of a chain holds, as its recipe tells it."""

from __future__ import annotations

from collections.abc import Sequence

from bakery.identity import compressed_id
from bakery.repo.files.recipe import RecordedBake


def parts(chain: Sequence[RecordedBake]) -> list[tuple[str, int]]:
    """Return the bakes of a chain, oldest first, with how many ranks each has in the last one.

    Where a bake kept only some ranks of its parent, these stand for all that came before it.
    """
    found: list[tuple[str, int]] = []
    for bake in chain:
        kept = bake.kept_of_parent
        if kept is not None and bake.parent is not None:
            found = [(compressed_id(bake.parent, kept), kept)]
        found.append((bake.id, bake.rank))
    return found


def total(chain: Sequence[RecordedBake]) -> int:
    """Return how many ranks the last adapter of a chain has."""
    return sum(own for _, own in parts(chain))


def are_known(chain: Sequence[RecordedBake]) -> bool:
    """Tell whether these are all ranks there are, whatever came before the chain."""
    return any(bake.kept_of_parent is not None for bake in chain)
