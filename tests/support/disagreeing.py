"""Composed adapters of a random model that really disagree, and what each says alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from bakery.engine.models.adapter_check import parts
from bakery.engine.models.adapter_folder import WEIGHTS, write_config, write_slices
from bakery.engine.models.adapters import attach_parent
from bakery.engine.models.models import BaseModel
from bakery.engine.models.strength import Dial, Strength
from bakery.engine.sampling.sampling import Sample, SampleRequest, sample
from bakery.identity import SamplingSettings

Chain = Sequence[tuple[str, int]]
"""Ids of bakes and the rank of each, oldest first."""


def adapter(
    folder: Path, base: BaseModel, chain: Chain, *, strong: float = 0.3, seed: int = 0
) -> Path:
    """Write the adapter of a chain: a bake's ranks are drawn from its id, the same in any chain."""
    folder.mkdir(parents=True)
    layers = {
        name: layer
        for name, layer in base.model.named_modules()
        if isinstance(layer, nn.Linear) and not name.endswith("lm_head")
    }
    tensors = {}
    for name, layer in layers.items():
        outputs, inputs = layer.weight.shape
        pieces = [_drawn(f"{bake} {name} {seed}", rank, inputs, outputs) for bake, rank in chain]
        a_RI = torch.cat([a for a, _ in pieces]) / inputs**0.5
        b_OR = torch.cat([b for _, b in pieces], dim=1) * strong
        tensors[f"base_model.model.{name}.lora_A.weight"] = a_RI
        tensors[f"base_model.model.{name}.lora_B.weight"] = b_OR
    save_file(tensors, str(folder / WEIGHTS), metadata={"format": "pt"})
    write_config(folder, base=base.id.name)
    write_slices(folder, parts(chain))
    return folder


def _drawn(key: str, rank: int, inputs: int, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    return (
        torch.randn(rank, inputs, generator=draw),
        torch.randn(outputs, rank, generator=draw),
    )


class Alone:
    """An adapter on its base through PEFT, by itself; the base is not to be used again."""

    def __init__(self, base: BaseModel, folder: Path | None) -> None:
        self._base = base
        self._model = attach_parent(base.model, folder) if folder else base.model
        self._dial = Dial(self._model, folder) if folder else None

    def says(
        self, request: SampleRequest, settings: SamplingSettings, strength: float = 1.0
    ) -> Sample:
        """Return what `sample` makes of a request; `strength` is that of the last bake."""
        if self._dial is not None:
            self._dial.turn(Strength(strength))
        ends = self._base.chat.end_ids
        ((found,),) = sample(self._model, [request], settings, end_ids=ends, pad_id=0)
        return found
