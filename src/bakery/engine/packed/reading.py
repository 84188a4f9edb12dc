"""The last layer's feed-forward block, for those positions alone that something is read from.

Behind the last attention no position sees another, so what the block makes of a prompt's tokens
goes nowhere: neither into the loss, nor into keys or values. Shapes: N tokens of a packed
sequence · M columns that are read · D hidden.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bakery.engine.packed.attention import KEYWORD

NAMES = ("mlp", "feed_forward", "block_sparse_moe")
"""What architectures call the block behind the attention."""


class LastLayer:
    """A model's last layer and its block; neither is kept alive."""

    def __init__(self, layer: nn.Module, block: nn.Module) -> None:
        self._layer, self._block = weakref.ref(layer), weakref.ref(block)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Have the block look at what layouts say is read, in every forward and its repetition."""
        layer, block = self._layer(), self._block()
        if layer is None or block is None or "forward" in vars(block):
            yield
            return
        columns: list[torch.Tensor | None] = [None]
        whole = block.forward

        def looked_up(_: nn.Module, args: Any, told: dict[str, Any]) -> None:
            columns[0] = getattr(told.get(KEYWORD), "read", None)

        def picked(hidden: torch.Tensor, *args: Any, **told: Any) -> torch.Tensor:
            if columns[0] is None:
                return whole(hidden, *args, **told)
            read_M = columns[0].to(hidden.device)
            made = whole(hidden.index_select(1, read_M), *args, **told)
            return torch.zeros_like(hidden).index_copy(1, read_M, made)

        hook = layer.register_forward_pre_hook(looked_up, with_kwargs=True)
        block.forward = picked
        try:
            yield
        finally:
            hook.remove()
            del block.forward


def last_layer(model: nn.Module, attention: nn.Module) -> LastLayer | None:
    """Return the layer of an attention module and its block, where it is known by name."""
    for layer in model.modules():
        if any(child is attention for child in layer.children()):
            blocks = [getattr(layer, name, None) for name in NAMES]
            found = [block for block in blocks if isinstance(block, nn.Module)]
            return LastLayer(layer, found[0]) if len(found) == 1 else None
    return None
