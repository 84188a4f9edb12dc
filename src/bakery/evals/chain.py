"""The models of a chain inside the last one: each is the first bakes of its composed adapter.

A composed adapter holds every bake's ranks side by side, so leaving the later ones out gives the
earlier model, as if it was never baked on. Shapes: R rank · O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer

from bakery.backends.local import LocalModel
from bakery.engine.models.adapter_folder import slices
from bakery.engine.models.adapters import PARENT


class Chain:
    """A loaded model that can be each of those that it was baked on. It is left as it was."""

    def __init__(self, local: LocalModel, folder: Path) -> None:
        """Read which ranks are whose."""
        self._parts = slices(folder)
        self._weights = [
            layer.lora_B[PARENT].weight
            for layer in local.model.modules()
            if isinstance(layer, LoraLayer) and PARENT in layer.lora_B
        ]

    @property
    def bakes(self) -> list[str]:
        """The ids of its bakes, oldest first."""
        return [part.bake_id for part in self._parts]

    @contextmanager
    def first(self, count: int) -> Iterator[None]:
        """Make the weights those of the model after `count` bakes; 0: the base."""
        stop = self._parts[count - 1].stop if count else 0
        with torch.no_grad():
            kept = [weight_OR[:, stop:].clone() for weight_OR in self._weights]
            try:
                for weight_OR in self._weights:
                    weight_OR[:, stop:] = 0
                yield
            finally:
                for weight_OR, was in zip(self._weights, kept, strict=True):
                    weight_OR[:, stop:] = was
