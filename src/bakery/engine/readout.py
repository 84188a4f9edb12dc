"""From a model to the logits of chosen positions, without building any others.

What the LM head reads is captured and selected; the head is applied to the selection only.
Where head(hidden) is not the model's own output (soft-capping, scales), a probe finds out
and the model's logits are selected instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

PROBE_TOLERANCE = 1e-4
"""Largest difference, relative to the largest logit, that counts as rounding in fp32."""


class Readout:
    """Selects features (N, D or V) of positions, and turns features into logits (N, V)."""

    def __init__(self, model: nn.Module) -> None:
        self._head: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
        self.exact = self._probe(model)

    def features(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        rows: torch.Tensor,
        cols: torch.Tensor,
    ) -> torch.Tensor:
        """Return what is known at positions (rows, cols): hidden states, else logits.

        `inputs` is what the model's forward takes.
        """
        if not self.exact:
            return model(**inputs, use_cache=False).logits[rows, cols]
        with self._captured() as hidden:
            model(**inputs, use_cache=False)
        return hidden()[rows, cols]

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (N, V) of features (N, D), or the features where they are logits."""
        if not self.exact:
            return features
        weight = next(self._head.parameters())
        return self._head(features.to(weight))

    @contextmanager
    def _captured(self) -> Iterator[Callable[[], torch.Tensor]]:
        """Replace the head's product, for one forward, by a stub that keeps its input."""
        kept: list[torch.Tensor] = []

        def stub(hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            kept.append(hidden)
            return hidden[..., :1]

        self._head.forward = stub  # on the instance, for one call
        try:
            yield lambda: kept[0]
        finally:
            del self._head.forward

    @torch.no_grad()
    def _probe(self, model: nn.Module) -> bool:
        """Tell whether head(hidden) is what the model itself puts out."""
        device = next(model.parameters()).device
        ids = torch.arange(2, 10, device=device)[None]
        mask = torch.ones_like(ids)
        was_training = model.training
        model.eval()
        with self._captured() as hidden:
            model(input_ids=ids, attention_mask=mask, use_cache=False)
        ours = self._head(hidden()).float()
        theirs = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        model.train(was_training)
        if ours.shape != theirs.shape:
            return False
        scale = theirs.abs().max().clamp(min=1.0)
        return bool((ours - theirs).abs().max() <= PROBE_TOLERANCE * scale)
