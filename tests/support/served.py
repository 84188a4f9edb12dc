"""A random model and adapters of it that disagree, served in one batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.models.models import BaseModel
from bakery.engine.sampling.sampling import Sample, SampleRequest
from bakery.engine.serving.asking import Mix, Token
from bakery.engine.serving.batch import Batch
from bakery.engine.serving.slices import Shelf
from bakery.identity import BaseModelId, SamplingSettings
from tests.support.disagreeing import Alone, adapter
from tests.support.models import random_model

FIRST, SECOND, THIRD, OTHER = "a" * 16, "b" * 16, "c" * 16, "d" * 16
CHAINS = {
    "first": [(FIRST, 3)],
    "second": [(FIRST, 3), (SECOND, 2)],
    "third": [(FIRST, 3), (SECOND, 2), (THIRD, 4)],
    "beside": [(FIRST, 3), (OTHER, 2)],
    "apart": [("e" * 16, 5)],
}
MODELS: list[tuple[str | None, float]] = [
    (None, 1.0),
    ("first", 1.0),
    ("first", 0.5),
    ("second", 1.0),
    ("third", 0.5),
    ("third", 0.0),
    ("third", 1.0),
    ("beside", 1.0),
    ("apart", 1.0),
]
"""Adapters, and the strength of the last bake of each."""

ROOMY = 1 << 30


@dataclass(frozen=True)
class World:
    """A random model and its adapters."""

    id: BaseModelId
    folders: dict[str, Path]
    _alone: dict[str | None, Alone] = field(default_factory=dict)

    def base(self) -> BaseModel:
        """A fresh copy: PEFT changes models in place."""
        return models.load(self.id, dtype="float32")

    def alone(
        self, model: tuple[str | None, float], ask: SampleRequest, settings: SamplingSettings
    ) -> Sample:
        """Return what PEFT and `sample` make of a request."""
        name, strength = model
        if name not in self._alone:
            self._alone[name] = Alone(self.base(), self.folders[name] if name else None)
        return self._alone[name].says(ask, settings, strength)


def world(root: Path) -> World:
    """Write a model and its adapters to a folder."""
    found = bases.identify(str(random_model(root / "model")))
    base = models.load(found, dtype="float32")
    folders = {name: adapter(root / name, base, chain) for name, chain in CHAINS.items()}
    return World(found, folders)


def mix(shelf: Shelf, world: World, name: str | None, strength: float = 1.0) -> Mix:
    """Return the mix of an adapter, its last bake at a strength."""
    if name is None:
        return Mix()
    *older, own = shelf.of(world.folders[name])
    return Mix((*((key, 1.0) for key in older), (own, strength)))


def opened(world: World, *, rows: int = 64, adapters: int = ROOMY, cache: int = ROOMY):
    """Return a shelf and a batch on a base of their own."""
    base = world.base()
    shelf = Shelf(base, most_bytes=adapters)
    for folder in world.folders.values():
        shelf.of(folder)
    return shelf, Batch(base, shelf, rows=rows, cache_bytes=cache)


def finished(batch: Batch, told: list | None = None) -> dict[str, list[Token]]:
    """Step until nobody is left; return every row's tokens."""
    found: dict[str, list[Token]] = {}
    while len(batch):
        for one in batch.step():
            if told is not None:
                told.append(one)
            if isinstance(one, Token):
                found.setdefault(one.key, []).append(one)
    return found
