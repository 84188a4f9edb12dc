"""What many token sequences begin with: found, run through the model once, and kept.

Shapes: J heads of keys · P tokens of a prefix · d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from bakery.engine.packed.layouts import KeysValues, Packed, Prefix, Segment
from bakery.engine.packed.support import Support

WORTH = 128
"""Tokens that sharing must save in all before a prefix is run by itself."""


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences, by index, whose first `shared` tokens are the same (0: nothing is shared)."""

    members: tuple[int, ...]
    shared: int


def grouped(sequences: Sequence[Sequence[int]]) -> list[Group]:
    """Group sequences by what they begin with, so that few tokens are run in all.

    Sorted, neighbours share the most. Cutting the row of neighbours wherever they share less
    than a threshold gives groups; of all thresholds the one is taken that leaves the fewest
    tokens. What is shared never reaches the last token of a sequence: somebody has to be asked.
    """
    order = sorted(range(len(sequences)), key=lambda i: (tuple(sequences[i]), i))
    shared = [_common(sequences[a], sequences[b]) for a, b in pairwise(order)]
    ladder = sorted({1, *(s for s in shared if s), *(1 << n for n in range(4, 24))})
    ladder = [t for t in ladder if t <= max(shared, default=0)] or [1]
    if len(ladder) > 64:
        ladder = [ladder[i * len(ladder) // 64] for i in range(64)]
    cuts = [_cut(order, shared, sequences, threshold) for threshold in ladder]
    best = min(cuts, key=lambda groups: sum(_cost(g, sequences) for g in groups))
    return [_unless_small(g) for g in best]


def prefill(model: torch.nn.Module, support: Support, ids: Sequence[int]) -> Prefix:
    """Run a prefix through the model and keep its keys and values."""
    device = next(model.parameters()).device
    kept: dict[int, KeysValues] = {}
    layout = Packed([(None, [Segment(len(ids))])], kept=kept)
    support.forward(
        model,
        layout,
        input_ids=torch.tensor([list(ids)], device=device),
        position_ids=torch.arange(len(ids), device=device)[None],
        logits_to_keep=1,
    )
    return Prefix(len(ids), kept)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two sequences share, short of the last of either."""
    count = 0
    for x, y in zip(a[:-1], b[:-1], strict=False):
        if x != y:
            break
        count += 1
    return count


def _cut(
    order: Sequence[int], shared: Sequence[int], sequences: Sequence[Sequence[int]], threshold: int
) -> list[Group]:
    groups: list[Group] = []
    members, least = [order[0]] if order else [], len(sequences[order[0]]) - 1 if order else 0
    for at, common in zip(order[1:], shared, strict=True):
        if common < threshold:
            groups.append(Group(tuple(members), least if len(members) > 1 else 0))
            members, least = [], len(sequences[at]) - 1
        else:
            least = min(least, common)
        members.append(at)
    if members:
        groups.append(Group(tuple(members), least if len(members) > 1 else 0))
    return groups


def _cost(group: Group, sequences: Sequence[Sequence[int]]) -> int:
    own = sum(len(sequences[i]) - group.shared for i in group.members)
    return group.shared + own


def _unless_small(group: Group) -> Group:
    worth = group.shared * (len(group.members) - 1) >= WORTH
    return group if worth else Group(group.members, 0)
