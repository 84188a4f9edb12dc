"""The models of a chain inside the last one: each is the first bakes of its composed adapter.

A composed adapter holds every bake's ranks side by side, so leaving the later ones out gives the
earlier model, as if it was never baked on. Where the first of them lie compressed in it, an earlier
model's own adapter takes its place. Shapes: R rank · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer

from bakery.backends.local import LocalModel
from bakery.engine.models import joined
from bakery.engine.models.adapter_folder import slices
from bakery.engine.models.adapters import PARENT

_IN_PEFT = "base_model.model."


class Chain:
    """A loaded model that can be each of those that it was baked on. It is left as it was."""

    def __init__(
        self, local: LocalModel, folder: Path, earlier: Sequence[tuple[str, Path]] = ()
    ) -> None:
        """Read which ranks are whose.

        `earlier` are the bakes that lie compressed in its first ranks, oldest first, with the
        folders of their own adapters.
        """
        self._parts, self._earlier = slices(folder), list(earlier)
        if earlier:
            self._parts = self._parts[1:]
        self._layers = {
            name.removeprefix(_IN_PEFT): layer
            for name, layer in local.model.named_modules()
            if isinstance(layer, LoraLayer) and PARENT in layer.lora_B
        }

    @property
    def bakes(self) -> list[str]:
        """The ids of its bakes, oldest first."""
        return [name for name, _ in self._earlier] + [part.bake_id for part in self._parts]

    @contextmanager
    def first(self, count: int) -> Iterator[None]:
        """Make the weights those of the model after `count` bakes; 0: the base."""
        if 0 < count <= len(self._earlier):
            with self._replaced(self._earlier[count - 1][1]):
                yield
            return
        stop = self._parts[count - 1 - len(self._earlier)].stop if count else 0
        weights = [layer.lora_B[PARENT].weight for layer in self._layers.values()]
        with torch.no_grad():
            kept = [weight_OR[:, stop:].clone() for weight_OR in weights]
            try:
                for weight_OR in weights:
                    weight_OR[:, stop:] = 0
                yield
            finally:
                for weight_OR, was in zip(weights, kept, strict=True):
                    weight_OR[:, stop:] = was

    @contextmanager
    def _replaced(self, folder: Path) -> Iterator[None]:
        """Make the weights those of an earlier model, which has other ranks."""
        theirs = joined.factors(folder)
        pairs = {
            name: (layer.lora_A[PARENT].weight, layer.lora_B[PARENT].weight)
            for name, layer in self._layers.items()
        }
        kept = {name: (a.data, b.data) for name, (a, b) in pairs.items()}
        try:
            for name, (a, b) in pairs.items():
                if name in theirs:
                    a.data, b.data = (own.to(b.data) for own in theirs[name])
                else:
                    b.data = torch.zeros_like(b.data)
            yield
        finally:
            for name, (a, b) in pairs.items():
                a.data, b.data = kept[name]
