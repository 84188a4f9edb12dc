"""An adapter of fewer ranks: of all of that rank the nearest to the sum that the whole one adds.

The nearest in each layer is what is left of the singular values of B·A when the smallest are
dropped (Eckart and Young 1936). B·A itself is never built: its singular values are those of the
small matrix between the orthonormal factors of B and A.
Shapes: R rank · K ranks that are kept · I inputs · O outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bakery import json_file
from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import WEIGHTS, write_config

PARENT, TOLD = "parent", "compressed.json"
"""Where, in the folder of a bake, that lies which it is put on, and what is told of it."""

_IN_PEFT = "base_model.model."


@dataclass(frozen=True, slots=True)
class Compressed:
    """What became of an adapter's ranks. `lost` is a share of the norm of all that it adds."""

    rank: int
    kept: int
    lost: float
    worst: str
    """The layer that lost the largest share, and `worst_lost`."""
    worst_lost: float


def compress(folder: Path, out: Path, *, rank: int, base: str, revision: str = "") -> Compressed:
    """Write the composed adapter of a folder with at most so many ranks to a new folder.

    Computed in float64 and written in fp32, so the same adapter gives the same bits. Which ranks
    were whose is lost with them: the new folder has no slices.
    """
    out.mkdir(parents=True)
    tensors: dict[str, torch.Tensor] = {}
    lost, whole, worst = 0.0, 0.0, ("", 0.0)
    for name, a_RI, b_OR in _layers(folder / WEIGHTS):
        a_KI, b_OK, values_R = nearest(a_RI, b_OR, rank)
        squares_R = values_R.square()
        own, own_lost = float(squares_R.sum()), float(squares_R[rank:].sum())
        whole, lost = whole + own, lost + own_lost
        share = math.sqrt(own_lost / own) if own else 0.0
        if share > worst[1]:
            worst = name, share
        tensors[f"{_IN_PEFT}{name}.lora_A.weight"] = a_KI
        tensors[f"{_IN_PEFT}{name}.lora_B.weight"] = b_OK
    save_file(tensors, str(out / WEIGHTS), metadata={"format": "pt"})
    kept = write_config(out, base=base, revision=revision)
    before = adapter_head.read(folder / WEIGHTS).rank
    return Compressed(before, kept, math.sqrt(lost / whole) if whole else 0.0, *worst)


def told(folder: Path | None) -> dict[str, Any] | None:
    """Return what is told of a parent that has lost ranks; None: it is a whole one, or none."""
    path = folder / TOLD if folder else None
    return json_file.load_object(path) if path and path.is_file() else None


def nearest(
    a_RI: torch.Tensor, b_OR: torch.Tensor, rank: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return A (K, I) and B (O, K) of the nearest product of that rank, and all singular values.

    K is `rank`, or R where that is less; singular values are those of B·A, largest first.
    """
    left_OR, right_IR = (torch.linalg.qr(m.double()) for m in (b_OR, a_RI.mT))
    u, values_R, v = torch.linalg.svd(left_OR.R @ right_IR.R.mT)
    kept = min(rank, len(a_RI), len(values_R))
    roots_K = values_R[:kept].sqrt()
    b_OK = left_OR.Q @ u[:, :kept] * roots_K
    a_KI = roots_K[:, None] * (v[:kept] @ right_IR.Q.mT)
    # A singular vector may point either way: its largest part is made positive.
    largest_K = b_OK.abs().argmax(dim=0)
    signs_K = b_OK[largest_K, torch.arange(kept)].sign()
    signs_K[signs_K == 0] = 1.0
    short = min(rank, len(a_RI)) - kept  # a layer narrower than the rank has no more
    a_KI = torch.nn.functional.pad(a_KI * signs_K[:, None], (0, 0, 0, short))
    b_OK = torch.nn.functional.pad(b_OK * signs_K, (0, short))
    return a_KI.float().contiguous(), b_OK.float().contiguous(), values_R


def _layers(weights: Path) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    with safe_open(str(weights), framework="pt") as file:
        for name in adapter_head.read(weights).layers:
            a_RI = file.get_tensor(f"{_IN_PEFT}{name}.lora_A.weight")
            b_OR = file.get_tensor(f"{_IN_PEFT}{name}.lora_B.weight")
            yield name, a_RI, b_OR
