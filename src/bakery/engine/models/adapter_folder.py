"""What an adapter's folder is, without loading it: its files, its digest, its slices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.engine.models import adapter_head
from bakery.errors import ModelError
from bakery.identity import file_digest
from bakery.json_file import DamagedError
from bakery.records import write_atomic
from bakery.store import results

WEIGHTS = results.WEIGHTS
SLICES = "slices.json"
CONFIG = "adapter_config.json"


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
        rows = json_file.load_list(folder / SLICES, most=json_file.MB)
        found = [_slice(json_file.as_object(row)) for row in rows]
        stops = [0, *(part.stop for part in found)]
        if not found or any(p.start != before for p, before in zip(found, stops, strict=False)):
            raise ValueError("its ranks do not follow one another")
        if any(not 0 <= part.start < part.stop for part in found):
            raise ValueError("it has a bake without ranks")
    except FileNotFoundError as error:
        raise ModelError(f"{folder / SLICES} is missing") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / SLICES} is damaged: {error}") from error
    return found


def _slice(row: Mapping[str, Any]) -> Slice:
    bake_id, start, stop = (row.get(key) for key in ("bake_id", "start", "stop"))
    if len(row) != 3 or not isinstance(bake_id, str):
        raise ValueError("it has a row that is not of a bake")
    if not (json_file.is_whole(start) and json_file.is_whole(stop)):
        raise ValueError("it has ranks that are no whole numbers")
    return Slice(bake_id, start, stop)


def write_slices(folder: Path, rows: Sequence[Slice]) -> None:
    """Write which ranks of a composed adapter belong to which bake."""
    text = json.dumps([asdict(row) for row in rows], indent=2)
    write_atomic(folder / SLICES, text + "\n")


def write_config(folder: Path, *, base: str, revision: str = "") -> int:
    """Write the standard configuration of a composed adapter from the head of its weights.

    Return its rank. Alpha equals the rank, as alpha/r is folded in; all else is PEFT's default.
    """
    try:
        found = adapter_head.read(folder / WEIGHTS)
    except (DamagedError, OSError) as error:
        raise ModelError(f"{folder / WEIGHTS} is no composed adapter: {error}") from error
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision or None,
        "r": found.rank,
        "lora_alpha": found.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(found.layers),
        "inference_mode": True,
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    write_atomic(folder / CONFIG, text + "\n")
    return found.rank
