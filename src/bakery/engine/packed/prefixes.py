"""What many token sequences begin with: found, run through the model once, and kept.

Shapes: J heads of keys · P tokens of a prefix · d head size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import torch

from bakery.engine.memory import bytes_per_token, cache_bytes
from bakery.engine.packed.layouts import AllKept, KeysValues, Packed, Prefix, Segment
from bakery.engine.packed.support import Support

WORTH = 128
"""Tokens that sharing must save in all before a prefix is run by itself."""

MOST_TRIED = 64
"""Thresholds that are compared."""


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
    places: dict[tuple[int, ...], list[int]] = {}
    for i, ids in enumerate(sequences):
        places.setdefault(tuple(ids), []).append(i)
    ordered = sorted(places)
    shared = [common(a[:-1], b[:-1]) for a, b in pairwise(ordered)]
    ladder = sorted({1, *(s for s in shared if s)})
    count = min(len(ladder), MOST_TRIED)
    ladder = [ladder[i * len(ladder) // count] for i in range(count)]
    cuts = [_cut(ordered, shared, threshold) for threshold in ladder]
    best = min(cuts, key=lambda groups: sum(_cost(g, ordered) for g in groups))
    return [
        Group(tuple(i for at in g.members for i in places[ordered[at]]), g.shared)
        for g in map(_unless_small, best)
    ]


class Prefixes:
    """Prefixes of one model as it stands, run once and kept until newer ones need the room.

    `all_sequences` are those that will come, a few at a time; without them what comes at once is
    grouped by itself.
    """

    def __init__(self, all_sequences: Sequence[Sequence[int]] = ()) -> None:
        begins = {tuple(all_sequences[g.members[0]][: g.shared]) for g in grouped(all_sequences)}
        self._begins = sorted(begins, key=len, reverse=True)
        self._kept: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self._tokens = 0

    def groups(self, sequences: Sequence[Sequence[int]]) -> list[Group]:
        """Group sequences by what they begin with."""
        if not self._begins:
            return grouped(sequences)
        found: dict[tuple[int, ...], list[int]] = {}
        for i, ids in enumerate(sequences):
            begin = next((b for b in self._begins if tuple(ids[: len(b)]) == b), ())
            found.setdefault(begin[: len(ids) - 1], []).append(i)
        return [Group(tuple(members), len(begin)) for begin, members in found.items()]

    def of(self, model: torch.nn.Module, support: Support, ids: Sequence[int]) -> Prefix:
        """Return the keys and values of a prefix, from before or by running it."""
        key = tuple(ids)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        most = cache_bytes(next(model.parameters()).device) // bytes_per_token(model)
        while self._kept and self._tokens + len(key) > most:
            self._tokens -= len(self._kept.popitem(last=False)[0])
        self._kept[key] = prefill(model, support, key)
        self._tokens += len(key)
        return self._kept[key]


@torch.no_grad()
def prefill(model: torch.nn.Module, support: Support, ids: Sequence[int]) -> Prefix:
    """Run a prefix through the model and keep its keys and values."""
    device = next(model.parameters()).device
    kept: dict[int, KeysValues] = {}
    layout = Packed([(None, [Segment(len(ids))])], kept=kept, keep_only=support.num_layers)
    with suppress(AllKept):
        support.forward(
            model,
            layout,
            input_ids=torch.tensor([list(ids)], device=device),
            position_ids=torch.arange(len(ids), device=device)[None],
            logits_to_keep=1,
        )
    return Prefix(len(ids), kept)


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two sequences begin with are the same."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(ordered: Sequence[Sequence[int]], shared: Sequence[int], threshold: int) -> list[Group]:
    """Cut sorted sequences wherever neighbours share less than a threshold."""
    groups: list[Group] = []
    first, least = 0, 0
    for at, common in enumerate((*shared, -1)):
        if common < threshold:
            groups.append(Group(tuple(range(first, at + 1)), least))
            first, least = at + 1, 0
        else:
            least = common if first == at else min(least, common)
    return groups if ordered else []


def _cost(group: Group, ordered: Sequence[Sequence[int]]) -> int:
    return group.shared + sum(len(ordered[i]) - group.shared for i in group.members)


def _unless_small(group: Group) -> Group:
    worth = group.shared * (len(group.members) - 1) >= WORTH
    return group if worth else Group(group.members, 0)
