"""What an adapter's folder is, without loading it: its files, its digest, its slices."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bakery.errors import ModelError
from bakery.identity import file_digest
from bakery.store import results

WEIGHTS = results.WEIGHTS
SLICES = "slices.json"
CONFIG = "adapter_config.json"

_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_HEADER_MAX = 1 << 27


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
    try:
        rows = json.loads((folder / SLICES).read_text(encoding="utf-8"))
        found = [Slice(**row) for row in rows]
        stops = [0, *(part.stop for part in found)]
        if not found or any(p.start != before for p, before in zip(found, stops, strict=False)):
            raise ValueError("its ranks do not follow one another")
        if any(not 0 <= part.start < part.stop for part in found):
            raise ValueError("it has a bake without ranks")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{folder / SLICES} is damaged: {error}") from error
    return found


def write_slices(folder: Path, rows: Sequence[Slice]) -> None:
    """Write which ranks of a composed adapter belong to which bake."""
    text = json.dumps([asdict(row) for row in rows], indent=2)
    (folder / SLICES).write_text(text + "\n", encoding="utf-8")


def write_config(folder: Path, *, base: str, revision: str = "") -> int:
    """Write the standard configuration of a composed adapter from the head of its weights.

    Return its rank. Alpha equals the rank, as alpha/r is folded in; all else is PEFT's default.
    """
    rank, modules = _shape(folder / WEIGHTS)
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision or None,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": modules,
        "inference_mode": True,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    return rank


def _shape(weights: Path) -> tuple[int, list[str]]:
    """Return rank and module names of a composed adapter, from the head of its file."""
    try:
        with weights.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length < _HEADER_MAX else None
    except (OSError, ValueError, struct.error) as error:
        raise ModelError(f"{weights} is not a safetensors file: {error}") from error
    ranks, modules = set(), set()
    for name, tensor in header.items() if isinstance(header, dict) else ():
        if name == "__metadata__":
            continue
        factor = _FACTOR.fullmatch(name)
        if factor is None:
            raise ModelError(f"{weights} is not a plain LoRA adapter: it holds {name}")
        modules.add(factor[1])
        ranks.add(tensor["shape"][0 if factor[2] == "A" else 1])
    if len(ranks) != 1:
        raise ModelError(f"{weights} is not a composed adapter: its ranks are {sorted(ranks)}")
    return ranks.pop(), sorted(modules)
