"""Which projections write into the residual stream, found out by watching a short forward.

Shapes: every tensor here is what a layer reads or gives, (1, tokens, hidden).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn

from bakery.engine.packed.layouts import Packed, Segment
from bakery.engine.packed.support import Support

TOLERANCE = 1e-2
"""How far, relative to its size, a layer may be from input plus writers and still count as that."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A projection whose output a layer adds to the residual stream, `scale` times."""

    layer: nn.Module
    projection: LoraLayer
    scale: float


def writers_of(model: PeftModel, support: Support, adapter: str) -> list[Writer] | str:
    """Find what writes into the residual stream, by watching a short forward; or say what is odd.

    It is the last adapted projection inside a layer's attention, and the last of the block behind
    it: what they give has to be what is added to the stream, but for a factor. Experts write by
    other means; then attention alone is fitted.
    """
    ids = torch.arange(2, 10, device=next(model.parameters()).device)[None]
    told = {"input_ids": ids, "position_ids": torch.arange(ids.shape[1], device=ids.device)[None]}
    watched = [_Watched(*found, adapter) for found in _layers(model, support, told, ids.shape[1])]
    with ExitStack() as stack:
        for one in watched:
            stack.enter_context(one.watching())
        support.forward(model, Packed([(None, [Segment(ids.shape[1])])]), **told)
    found = [one.writers() for one in watched]
    odd = [writers for writers in found if isinstance(writers, str)]
    if odd:
        return odd[0]
    return [one for writers in found for one in writers if isinstance(one, Writer)]


Given = tuple[LoraLayer, torch.Tensor]
"""An adapted projection, and what it gave."""


class _Attentions:
    """A layout that notes which modules attend."""

    def __init__(self, layout: Packed) -> None:
        self.layout = layout
        self.seen: list[nn.Module] = []

    def attend(self, layer: nn.Module, *qkv_and_rule: Any) -> torch.Tensor:
        """Attend as the layout does."""
        self.seen.append(layer)
        return self.layout.attend(layer, *qkv_and_rule)


def _layers(
    model: PeftModel, support: Support, told: dict[str, torch.Tensor], count: int
) -> list[tuple[nn.Module, nn.Module]]:
    """Return each layer with the attention in it, in their order."""
    noted = _Attentions(Packed([(None, [Segment(count)])]))
    support.forward(model, noted, **told)
    parents = {id(child): module for module in model.modules() for child in module.children()}
    return [(parents[id(attention)], attention) for attention in noted.seen]


@dataclass(slots=True)
class _Watched:
    """One layer in a forward: what it reads and gives, and what its adapted projections gave."""

    layer: nn.Module
    attention: nn.Module
    adapter: str
    before: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    after: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    read: list[torch.Tensor] = field(default_factory=list)
    """What the parts of the layer read."""
    given: list[Given] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what a forward does."""

        def entered(_: nn.Module, args: tuple[Any, ...], told: dict[str, Any]) -> None:
            self.before = args[0] if args else told["hidden_states"]

        def left(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            self.after = out[0] if isinstance(out, tuple) else out

        def reading(_: nn.Module, args: tuple[Any, ...]) -> None:
            if args and isinstance(args[0], torch.Tensor) and args[0].shape == self.before.shape:
                self.read.append(args[0])

        def projected(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            if isinstance(out, torch.Tensor) and out.shape == self.before.shape:
                self.given.append((module, out))

        with ExitStack() as hooks:
            hook = self.layer.register_forward_pre_hook(entered, with_kwargs=True)
            hooks.callback(hook.remove)
            hooks.callback(self.layer.register_forward_hook(left).remove)
            for part in self.layer.children():
                hooks.callback(part.register_forward_pre_hook(reading).remove)
            for module in self.layer.modules():
                if isinstance(module, LoraLayer) and self.adapter in module.lora_A:
                    hooks.callback(module.register_forward_hook(projected).remove)
            yield

    def writers(self) -> list[Writer] | str:
        """Return what writes into the residual stream here, or why that cannot be told."""
        inside = set(self.attention.modules())
        of_attention = [part for part in self.given if part[0] in inside]
        of_block = [part for part in self.given if part[0] not in inside]
        last = of_block[-1] if of_block else None
        found = self._one_by_one(of_attention[-1], last) if of_attention else []
        if not found:
            return "what its layers add to the stream is not what an adapted projection gives"
        for writer in found:
            layer = writer.projection
            if layer.use_dora.get(self.adapter) or layer.lora_B[self.adapter].weight.any():
                return "the adapter is not a fresh LoRA"
        return found

    def _one_by_one(self, attention: Given, block: Given | None) -> list[Writer]:
        """Match what is added with what is given; what is not matched writes something else.

        A part of the layer reads the stream between both, where one follows the other; else both
        read the same.
        """
        for between in self.read:
            scale = _factor(self.before, between, attention[1])
            if scale is not None:
                found = [Writer(self.layer, attention[0], scale)]
                behind = _factor(between, self.after, block[1]) if block else None
                if block and behind is not None:
                    found.append(Writer(self.layer, block[0], behind))
                return found
        both = attention[1] + block[1] if block else None
        scale = None if both is None else _factor(self.before, self.after, both)
        if block is None or scale is None:
            return []
        return [Writer(self.layer, part, scale) for part, _ in (attention, block)]


def _factor(before: torch.Tensor, after: torch.Tensor, written: torch.Tensor) -> float | None:
    """Return the factor by which something was added; None: something else was.

    What rounding may have changed counts for little, and is not held against it: some channels of
    a stream are thousands of times as large as what a layer adds to it.
    """
    rounding = torch.finfo(after.dtype).eps * (before.float().abs() + after.float().abs())
    change, written = after.float() - before.float(), written.float()
    small = 1e-2 * written.square().mean().sqrt().clamp_min(1e-30)
    weight = 1 / (1 + (rounding / small).square())
    fitted = (weight * change * written).sum()
    factor = float(fitted / (weight * written.square()).sum().clamp_min(1e-30))
    left = ((change - factor * written).abs() - rounding).clamp_min(0)
    size = weight.sqrt()
    matches = float((size * left).norm()) <= TOLERANCE * float((size * change).norm())
    return factor if factor and matches else None
