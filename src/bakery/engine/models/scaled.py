"""A copy of a composed adapter in which each rank counts more or less, for engines of others.

What a rank adds is its column of B times its row of A, so a strength is a factor of columns of B;
at 0 a rank adds nothing, and is left out. Shapes: R ranks · K kept ranks · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import WEIGHTS, write_config


def write(source: Path, out: Path, scale_R: Sequence[float], *, base: str) -> None:
    """Write an adapter in a new folder; at least one of its ranks counts."""
    rank = adapter_head.read(source / WEIGHTS).rank
    assert len(scale_R) == rank, f"{len(scale_R)} strengths for {rank} ranks"
    kept_K = [at for at, scale in enumerate(scale_R) if scale]
    scale_K = torch.tensor([scale_R[at] for at in kept_K])
    made = {}
    for name, factor in load_file(source / WEIGHTS).items():
        if ".lora_A." in name:
            made[name] = factor[kept_K].contiguous()
        else:
            b_OK = factor[:, kept_K]
            made[name] = (b_OK.float() * scale_K).to(b_OK.dtype).contiguous()
    out.mkdir(parents=True)
    save_file(made, out / WEIGHTS, metadata={"format": "pt"})
    write_config(out, base=base)
