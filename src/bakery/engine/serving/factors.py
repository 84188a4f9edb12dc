"""What an adapter's file adds to each layer: B·A, as two matrices in fp32.

Shapes: R rank · I inputs · O outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open

from bakery import json_file
from bakery.engine.bases import heads
from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import CONFIG, WEIGHTS, Slice
from bakery.engine.models.adapters import PARENT, attach_parent
from bakery.engine.models.given import twin
from bakery.engine.models.models import BaseModel
from bakery.engine.models.strength import beyond
from bakery.errors import ModelError
from bakery.json_file import DamagedError

Factors = tuple[torch.Tensor, torch.Tensor]
"""A (R, I) and the transpose of B (R, O), with alpha/r in it."""

_IN_PEFT, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def of_part(folder: Path, part: Slice) -> Iterator[tuple[str, Factors]]:
    """Yield by layer's name what one bake's ranks of a composed adapter add.

    A layer to which they add nothing, as only other bakes of the chain change it, is left out.
    """
    try:
        names = adapter_head.read(folder / WEIGHTS).layers
        with safe_open(str(folder / WEIGHTS), framework="pt") as file:
            for name in names:
                a_RI = file.get_slice(f"{_IN_PEFT}{name}{_A}")[part.start : part.stop]
                b_OR = file.get_slice(f"{_IN_PEFT}{name}{_B}")[:, part.start : part.stop]
                if a_RI.any() or b_OR.any():
                    yield name, (a_RI.float(), b_OR.float().mT.contiguous())
    except (DamagedError, OSError, SafetensorError) as error:
        raise ModelError(f"the adapter in {folder} cannot be read: {error}") from error


def digest_of(found: Iterator[tuple[str, Factors]] | list[tuple[str, Factors]]) -> str:
    """Return a digest of what a slice adds: equal bits, wherever they are stored."""
    digest = hashlib.sha256()
    for name, both in found:
        for matrix in both:
            digest.update(f"{name} {tuple(matrix.shape)} ".encode())
            digest.update(matrix.numpy().data)
    return digest.hexdigest()


def foreign_digest(folder: Path) -> str:
    """Return a digest of an adapter that somebody else made; refuse one that does more than B·A."""
    why = beyond(json_file.load_object(folder / CONFIG, most=json_file.MB))
    if why is None and any("lora_embedding" in name for name in heads.read(folder / WEIGHTS)):
        why = "an adapted embedding"
    if why is not None:
        raise ModelError(
            f"the adapter in {folder} has {why}: it does more than add B·A, so it cannot be "
            "served beside others",
            hint="Merge it into a model of its own.",
        )
    digest = hashlib.sha256()
    for name in (WEIGHTS, CONFIG):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def foreign_size(folder: Path) -> int:
    """Return how many bytes the matrices of such an adapter take in fp32, without loading them."""
    shapes = [tensor.shape for tensor in heads.read(folder / WEIGHTS).values()]
    return sum(4 * shape[0] * shape[1] for shape in shapes if len(shape) == 2)


def of_foreign(base: BaseModel, folder: Path) -> Iterator[tuple[str, Factors]]:
    """Yield what such an adapter adds, as PEFT reads it: its ranks and scales by its patterns."""
    model = attach_parent(twin(base).model, folder)
    layers = {
        name: layer
        for name, layer in model.get_base_model().named_modules()
        if isinstance(layer, LoraLayer) and PARENT in layer.lora_A
    }
    for name, layer in sorted(layers.items()):
        a_RI = layer.lora_A[PARENT].weight.detach().float().cpu()
        b_OR = layer.lora_B[PARENT].weight.detach().float().cpu() * layer.scaling[PARENT]
        yield name, (a_RI, b_OR.mT.contiguous())
