"""Views into one sequence without padding: what several views begin with is there once.

Views that are the same up to their first target become one tree: the shared prompt is its trunk,
every answer a branch. Shapes: N tokens of the packed sequence · M positions that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bakery.engine.packed.layouts import Segment
from bakery.engine.text.views import View


@dataclass(frozen=True, slots=True)
class Tree:
    """Views with one trunk. `views` are indices, one per branch."""

    trunk: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    views: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.trunk) + sum(map(len, self.branches))


@dataclass(frozen=True, slots=True)
class Pack:
    """Trees laid out one after the other.

    `cols` (M,) are the columns that predict the targets of `views`, in that order.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    segments: tuple[Segment, ...]
    views: tuple[int, ...]
    cols: torch.Tensor

    def inputs(self) -> dict[str, torch.Tensor]:
        """Return what a model's forward takes, as one row."""
        return {"input_ids": self.ids[None], "position_ids": self.positions[None]}


def trees(views: Sequence[View], *, skip: int = 0) -> list[Tree]:
    """Group views by what is before their first target, in order of appearance.

    The first `skip` tokens are left out: they are somewhere else, as a shared prefix. The last
    target is never an input: nothing is predicted from it.
    """
    found: dict[tuple[int, ...], list[int]] = {}
    for i, view in enumerate(views):
        found.setdefault(view.ids[skip : view.predicting[0] + 1], []).append(i)
    return [
        Tree(
            trunk,
            tuple(views[i].ids[skip + len(trunk) : max(views[i].predicting) + 1] for i in members),
            tuple(members),
        )
        for trunk, members in found.items()
    ]


def smallest(views: Sequence[View]) -> list[Tree]:
    """Return the trees that take the fewest tokens: one around what all begin with, or `trees`.

    What a template writes in front of every conversation is so there once, and not once a question.
    """
    usual, around = trees(views), _around(views)
    fewer = around is not None and len(around) < sum(map(len, usual))
    return [around] if fewer and around is not None else usual


def _around(views: Sequence[View]) -> Tree | None:
    """Return one tree whose trunk is what all views begin with; None: that is nothing."""
    most = min((view.predicting[0] for view in views), default=0)
    ids = views[0].ids if views else ()
    end = next((at for at in range(most) if any(v.ids[at] != ids[at] for v in views)), most)
    if not end:
        return None
    branches = tuple(view.ids[end : max(view.predicting) + 1] for view in views)
    return Tree(ids[:end], branches, tuple(range(len(views))))


def pack(chosen: Sequence[Tree], views: Sequence[View], *, skip: int = 0) -> Pack:
    """Lay trees out in one sequence whose positions begin at `skip`."""
    ids: list[int] = []
    cols: list[int] = []
    segments, positions = [], []
    for tree in chosen:
        start = len(ids)
        ids += tree.trunk
        segment = Segment(len(tree.trunk), tuple(map(len, tree.branches)))
        segments.append(segment)
        positions.append(segment.positions(skip))
        for view, branch in zip(tree.views, tree.branches, strict=True):
            # A position in the view is one in the trunk, or so far behind the trunk's end.
            end, moved = skip + len(tree.trunk), len(ids)
            for at in views[view].predicting:
                cols.append(start + at - skip if at < end else moved + at - end)
            ids += branch
    return Pack(
        torch.tensor(ids, dtype=torch.long),
        torch.cat(positions) if positions else torch.zeros(0, dtype=torch.long),
        tuple(segments),
        tuple(i for tree in chosen for i in tree.views),
        torch.tensor(cols, dtype=torch.long),
    )


def batches(found: Sequence[Tree], most_tokens: int) -> list[list[Tree]]:
    """Cut trees, in order, into batches of at most so many tokens; a longer tree stands alone."""
    cut: list[list[Tree]] = []
    size = 0
    for tree in found:
        if not cut or size + len(tree) > most_tokens:
            cut.append([])
            size = 0
        cut[-1].append(tree)
        size += len(tree)
    return cut
