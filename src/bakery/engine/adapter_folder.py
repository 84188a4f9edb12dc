"""What an adapter's folder is, without loading it: its files, its digest, its slices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bakery.errors import ModelError
from bakery.identity import file_digest

WEIGHTS = "adapter_model.safetensors"
SLICES = "slices.json"


@dataclass(frozen=True, slots=True)
class Slice:
    """The ranks of one bake in a composed adapter: half-open."""

    bake_id: str
    start: int
    stop: int


def digest(folder: Path) -> str:
    """Return the SHA-256 of an adapter's weights, or say that they are missing."""
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"the weights in {folder} are missing")
    return file_digest(weights)


def slices(folder: Path) -> list[Slice]:
    """Return which ranks of a composed adapter belong to which bake, oldest first."""
    rows = json.loads((folder / SLICES).read_text(encoding="utf-8"))
    return [Slice(**row) for row in rows]
