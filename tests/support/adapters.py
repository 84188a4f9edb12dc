"""Small composed adapters, written byte by byte: no torch, and any part of them can be false."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from bakery.engine.models.adapter_check import parts
from bakery.engine.models.adapter_folder import write_config, write_slices

CHAIN = [("a" * 16, 2), ("b" * 16, 1)]
RANK, INPUTS, OUTPUTS = 3, 4, 4
LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj")


def adapter(folder: Path) -> Path:
    """Write an adapter of two bakes with all that belongs beside it; return its folder."""
    folder.mkdir(parents=True)
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at, size = 0, 4 * RANK * INPUTS
    for name in LAYERS:
        for factor, shape in (("A", [RANK, INPUTS]), ("B", [OUTPUTS, RANK])):
            place = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
            head[f"base_model.model.{name}.lora_{factor}.weight"] = place
            at += size
    numbers = struct.pack(f"<{at // 4}f", *(0.01 * n for n in range(at // 4)))
    written(folder / "adapter_model.safetensors", head, numbers)
    write_config(folder, base="tiny-1")
    write_slices(folder, parts(CHAIN))
    return folder


def header(weights: Path) -> tuple[dict[str, Any], bytes]:
    """Return the head of a safetensors file, and the bytes behind it."""
    data = weights.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def written(weights: Path, head: dict[str, Any], data: bytes) -> Path:
    """Write a safetensors file, whatever its head says of the bytes behind it."""
    text = json.dumps(head).encode()
    weights.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return weights
