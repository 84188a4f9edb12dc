"""One base that is many models at once: y = Wx + B(m ⊙ Ax), with a mask over ranks for each row.

The matrices of all slices in use are stacked, and a row's mask says how much of each it has: 0 of
what is not its own. What several layers read (queries, keys, values) is multiplied by all their A
in one product.
Shapes: N rows or tokens · R ranks of all slices · M layers that read the same · I inputs ·
O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from torch import nn
from transformers.pytorch_utils import Conv1D

from bakery.engine.modes import evaluating
from bakery.engine.packed.layouts import Packed, Segment
from bakery.engine.packed.support import Support
from bakery.engine.serving.asking import Mix
from bakery.engine.serving.slices import Held
from bakery.errors import ModelError

PROBED = 7
"""Tokens of the probe that shows which layers see every token once, in order."""


SPARED = 1.5e6
"""Products that a layer is spared for each lineage, on average, where many steps beat one.

Of one core: `python -m benchmarks.serving --grouping` shows both sides of it.
"""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Rows whose slices no other row has: their places once sorted, the ranks, and their masks."""

    rows: slice
    ranks: slice
    mask: torch.Tensor


class Masks:
    """What each row or token has of the ranks (N, R), as the layers ask for it.

    `read` are the tokens (M,) that a last layer may be left with. `spans` are the ranks of each
    lineage, `of_N` says which is a token's (−1: none, it is the base's); None: all in one product.
    """

    def __init__(
        self,
        mask_NR: torch.Tensor,
        read: torch.Tensor | None = None,
        spans: Sequence[slice] | None = None,
        of_N: torch.Tensor | None = None,
    ) -> None:
        self._spans = spans
        self._of = {len(mask_NR): (mask_NR, of_N)}
        if read is not None and len(read) != len(mask_NR):
            self._of[len(read)] = mask_NR[read], None if of_N is None else of_N[read]
        self._wide: dict[tuple[int, int], torch.Tensor] = {}
        self._sorted: dict[int, tuple[torch.Tensor, list[Lineage]]] = {}

    @property
    def is_grouped(self) -> bool:
        """Whether each lineage is multiplied by its own ranks."""
        return self._spans is not None

    def wide(self, count: int, layers: int) -> torch.Tensor:
        """Return the mask of so many tokens, side by side for so many layers."""
        if (count, layers) not in self._wide:
            self._wide[count, layers] = self._known(count)[0].repeat(1, layers)
        return self._wide[count, layers]

    def lineages(self, count: int) -> tuple[torch.Tensor, list[Lineage]]:
        """Return the order that sorts so many tokens by lineage, without the base's; and them."""
        if count not in self._sorted:
            mask_NR, of_N = self._known(count)
            assert self._spans is not None  # it is grouped
            assert of_N is not None
            found, parts, begin = [], [], 0
            for number, ranks in enumerate(self._spans):
                rows = (of_N == number).nonzero()[:, 0]
                if len(rows):
                    place = slice(begin, begin + len(rows))
                    found.append(Lineage(place, ranks, mask_NR[rows, ranks]))
                    parts.append(rows)
                    begin = place.stop
            self._sorted[count] = torch.cat(parts) if parts else of_N[:0], found
        return self._sorted[count]

    def _known(self, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        if count not in self._of:
            raise RuntimeError(f"a layer sees {count} tokens, and nobody said which")
        return self._of[count]


@dataclass(slots=True)
class _Reading:
    """Layers that read the same: A of all that any slice changes (M, R, I)."""

    layers: Mapping[str, nn.Module]
    a: torch.Tensor | None = None
    seen: torch.Tensor | None = None
    made: torch.Tensor | None = None
    """What was read last, and what A made of it; sorted by lineage where those are grouped."""

    def once(
        self, x: torch.Tensor, make: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Return what is made of what the layers read (N, I) and A, for all of them once."""
        if self.seen is not x or self.made is None:
            assert self.a is not None  # a layer was changed
            self.made = make(x.reshape(-1, x.shape[-1]).to(self.a.dtype), self.a)
            self.seen = x
        return self.made


class Mixer:
    """The linear layers of a model, and what the slices in use add to them.

    It changes how these modules compute, so the model has to be its own (`models.given.twin`).
    """

    def __init__(self, model: nn.Module, support: Support) -> None:
        self._readings = [_Reading(layers) for layers in _readings(model, support)]
        self._places = {name: reading for reading in self._readings for name in reading.layers}
        self._device = next(model.parameters()).device
        self._held: tuple[Held, ...] = ()
        self._starts: dict[str, tuple[int, int]] = {}
        self._changed: list[nn.Module] = []
        self._widths: list[int] = []
        self._masks: Masks | None = None
        self.ranks = 0
        """How many ranks are stacked."""

    @property
    def keys(self) -> frozenset[str]:
        """The slices that are stacked."""
        return frozenset(self._starts)

    def ranks_of(self, keys: Iterable[str]) -> int:
        """Return how many of the ranks are those of some slices that are stacked."""
        return sum(stop - start for start, stop in map(self._starts.__getitem__, keys))

    def check(self, held: Held) -> None:
        """Refuse a slice that changes what this model does not have, or of another shape."""
        for name, (a_RI, bt_RO) in held.factors.items():
            if name not in self._places:
                raise ModelError(
                    f"{name[:100]} is adapted, and it is no linear layer here that sees every token"
                )
            shape = _shape(self._places[name].layers[name])
            if shape != (a_RI.shape[1], bt_RO.shape[1]):
                told = f"{a_RI.shape[1]} inputs and {bt_RO.shape[1]} outputs"
                raise ModelError(f"the adapter's {name[:100]} has {told}, the base's {shape}")

    def stack(self, slices: Sequence[Held]) -> None:
        """Have these slices and no others; each is there once, as a part of what is stacked."""
        for module in self._changed:
            del module.forward
        for held in self._held:
            if held not in slices:  # or it would keep all matrices alive of which it was a part
                held.factors = {n: (a.clone(), b.clone()) for n, (a, b) in held.factors.items()}
        self._held = tuple(slices)
        self._changed, self._starts, self.ranks, self._widths = [], {}, 0, []
        for held in slices:
            self._starts[held.key] = self.ranks, self.ranks + held.rank
            self.ranks += held.rank
        for reading in self._readings:
            names = [n for n in reading.layers if any(n in held.factors for held in slices)]
            if names:
                self._put(reading, names, slices)

    def _put(self, reading: _Reading, names: Sequence[str], slices: Sequence[Held]) -> None:
        """Stack what slices have for some layers that read the same."""
        some = next(held.factors[n][0] for n in names for held in slices if n in held.factors)
        a_MRI = some.new_zeros(len(names), self.ranks, some.shape[1])
        for i, name in enumerate(names):
            module = reading.layers[name]
            b_RO = some.new_zeros(self.ranks, _shape(module)[1])
            for held in slices:
                if name in held.factors:
                    start = self._starts[held.key][0]
                    a, b = held.factors[name]
                    a_MRI[i, start : start + len(a)] = a
                    b_RO[start : start + len(b)] = b
                    stop = start + len(a)
                    held.factors[name] = a_MRI[i, start:stop], b_RO[start:stop]
            module.forward = self._mixed(module.forward, reading, i, b_RO)
            self._changed.append(module)
        reading.a = a_MRI
        self._widths += [sum(_shape(reading.layers[name])) for name in names]

    def mask(self, mix: Mix) -> torch.Tensor:
        """Return how much a row of a mix has of each rank (R,)."""
        mask_R = torch.zeros(self.ranks)
        for key, strength in mix.parts:
            start, stop = self._starts[key]
            mask_R[start:stop] += strength
        return mask_R

    def masks(
        self, mixes: Sequence[tuple[Mix, int]], read: torch.Tensor | None = None
    ) -> Masks | None:
        """Return the masks of tokens: mixes, and how many in a row have each. None: no slice."""
        if not any(mix.keys for mix, _ in mixes):
            return None
        of = {mix: self.mask(mix) for mix in {mix for mix, _ in mixes}}
        mask_NR = torch.cat([of[mix].expand(count, -1) for mix, count in mixes])
        lineages = self._lineages(mixes) if self._device.type == "cpu" else None
        if lineages is None:
            return Masks(mask_NR.to(self._device), read)
        spans, number = lineages
        of_N = torch.cat([torch.full((count,), number[mix]) for mix, count in mixes])
        return Masks(mask_NR, read, spans, of_N)

    def _lineages(
        self, mixes: Sequence[tuple[Mix, int]]
    ) -> tuple[list[slice], dict[Mix, int]] | None:
        """Return the ranks of each lineage, and whose each mix is; None where it does not pay."""
        found: list[set[str]] = []
        for keys in {mix.keys for mix, _ in mixes if mix.keys}:
            apart = [one for one in found if not one & set(keys)]
            found = [*apart, set(keys).union(*(one for one in found if one not in apart))]
        places = [[self._starts[key] for key in one] for one in found]
        spans = [slice(min(a for a, _ in at), max(b for _, b in at)) for at in places]
        number = {
            mix: next((i for i, one in enumerate(found) if one & set(mix.keys)), -1)
            for mix, _ in mixes
        }
        whole = self.ranks * sum(count for _, count in mixes)
        need = sum(
            count * (spans[number[mix]].stop - spans[number[mix]].start)
            for mix, count in mixes
            if number[mix] >= 0
        )
        width = sum(self._widths) / max(1, len(self._widths))
        return (spans, number) if (whole - need) * width >= SPARED * len(spans) else None

    @contextmanager
    def having(self, masks: Masks | None) -> Iterator[None]:
        """Compute for rows or tokens of these masks; None: all of them are the base's."""
        self._masks = masks
        try:
            yield
        finally:
            self._masks = None
            for reading in self._readings:
                reading.seen = reading.made = None

    def _mixed(
        self, whole: Callable[..., torch.Tensor], reading: _Reading, place: int, b: torch.Tensor
    ) -> Callable[..., torch.Tensor]:
        """Return a layer's forward with what the slices add; `place` is its own among A's."""

        def forward(x: torch.Tensor, *args: Any, **told: Any) -> torch.Tensor:
            y = whole(x, *args, **told)
            if self._masks is None:
                return y
            add = self._by_lineage if self._masks.is_grouped else self._in_one
            flat = y.view(-1, y.shape[-1])
            if y.dtype == b.dtype:
                add(reading, place, x, b, flat)
                return y
            # As PEFT does it: added in fp32, rounded once.
            return add(reading, place, x, b, flat.to(b.dtype)).to(y.dtype).view(y.shape)

        return forward

    def _in_one(
        self, reading: _Reading, place: int, x: torch.Tensor, b: torch.Tensor, to: torch.Tensor
    ) -> torch.Tensor:
        """Add (m ⊙ Ax)B, of which m ⊙ Ax is computed for all layers that read x at once."""
        masks = self._masks
        assert masks is not None  # there is something to add

        def through(x_NI: torch.Tensor, a_MRI: torch.Tensor) -> torch.Tensor:
            wide = masks.wide(len(x_NI), len(a_MRI))
            return F.linear(x_NI, a_MRI.flatten(0, 1)).mul_(wide)

        columns = slice(place * self.ranks, (place + 1) * self.ranks)
        return to.addmm_(reading.once(x, through)[:, columns], b)

    def _by_lineage(
        self, reading: _Reading, place: int, x: torch.Tensor, b: torch.Tensor, to: torch.Tensor
    ) -> torch.Tensor:
        """Add the same, lineage by lineage."""
        assert self._masks is not None  # there is something to add
        order, lineages = self._masks.lineages(len(to))
        if not lineages:
            return to
        x_NI = reading.once(x, lambda x_NI, _: x_NI.index_select(0, order))
        assert reading.a is not None  # a layer was changed
        a_RI = reading.a[place]
        added = [
            F.linear(x_NI[one.rows], a_RI[one.ranks]).mul_(one.mask) @ b[one.ranks]
            for one in lineages
        ]
        return to.index_add_(0, order, torch.cat(added))


def _shape(module: nn.Module) -> tuple[int, int]:
    """Return the inputs and outputs of a linear layer."""
    found: Any = module.weight.shape
    return (found[0], found[1]) if isinstance(module, Conv1D) else (found[1], found[0])


@torch.no_grad()
def _readings(model: nn.Module, support: Support) -> list[dict[str, nn.Module]]:
    """Return the linear layers that see every token once and in order, by what they read.

    Those of an expert that is handed some of the tokens are not among them.
    """
    read: dict[str, list[torch.Tensor]] = {}
    modules = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D)}

    def watched(name: str) -> Callable[..., None]:
        return lambda _, given: read.setdefault(name, []).append(given[0])

    hooks = [m.register_forward_pre_hook(watched(name)) for name, m in modules.items()]
    device = next(model.parameters()).device
    ids = torch.arange(1, PROBED + 1, device=device)[None]
    told = {"input_ids": ids, "position_ids": torch.arange(PROBED, device=device)[None]}
    try:
        with evaluating(model):
            support.forward(model, Packed([(None, [Segment(PROBED)])]), **told)
    finally:
        for hook in hooks:
            hook.remove()
    found: dict[int, dict[str, nn.Module]] = {}
    for name, seen in read.items():
        if len(seen) == 1 and seen[0].shape[:-1] == (1, PROBED):
            found.setdefault(id(seen[0]), {})[name] = modules[name]
    return list(found.values())
