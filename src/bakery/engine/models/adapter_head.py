"""The head of an adapter's weights: which tensors it has, of which shapes, and where they lie.

Whoever wrote it: what it says is held against the file before anything is believed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.json_file import DamagedError

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""What the numbers of an adapter may be, and how long each is."""
_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_HEAD_MAX = 1 << 27


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a composed adapter says: its rank, and each layer's inputs and outputs."""

    rank: int
    layers: Mapping[str, tuple[int, int]]


def read(weights: Path) -> Head:
    """Return what the head of a composed adapter says; DamagedError where it is none."""
    shapes: dict[str, dict[str, list[int]]] = {}
    for name, tensor in tensors(weights).items():
        factor = _FACTOR.fullmatch(name)
        if factor is None:
            raise DamagedError(f"no composed adapter holds {name[:100]}")
        if len(tensor["shape"]) != 2:
            raise DamagedError(f"{name[:100]} is no matrix")
        shapes.setdefault(factor[1], {})[factor[2]] = tensor["shape"]
    for name, pair in shapes.items():
        if len(pair) != 2:
            missing = "B" if "A" in pair else "A"
            raise DamagedError(f"{name[:100]} has no lora_{missing}")
    ranks = {shape for pair in shapes.values() for shape in (pair["A"][0], pair["B"][1])}
    if len(ranks) != 1 or 0 in ranks:
        raise DamagedError(f"its ranks are {sorted(ranks)}, where one is right for all layers")
    layers = {name: (pair["A"][1], pair["B"][0]) for name, pair in sorted(shapes.items())}
    return Head(ranks.pop(), layers)


def tensors(weights: Path) -> dict[str, dict[str, Any]]:
    """Return the tensors that a safetensors file names, each of which lies in it and by itself."""
    with json_file.open_regular(weights) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, _HEAD_MAX):
            raise DamagedError("it is no safetensors file, or cut short")
        found = json_file.as_object(json_file.parse(file.read(length)))
    found.pop("__metadata__", None)
    ends = [0]
    for name, tensor in sorted(found.items(), key=lambda item: _start_of(*item)):
        shape, (first, last) = tensor["shape"], tensor["data_offsets"]
        if tensor["dtype"] not in _BYTES:
            raise DamagedError(f"{name[:100]} holds numbers of the kind {tensor['dtype']!r:.20}")
        if first != ends[-1] or last - first != math.prod(shape) * _BYTES[tensor["dtype"]]:
            raise DamagedError(f"{name[:100]} does not lie behind the tensor before it")
        ends.append(last)
    if ends[-1] != size - 8 - length:
        raise DamagedError(f"it has {size:,} bytes instead of {ends[-1] + 8 + length:,}")
    return found


def _start_of(name: str, tensor: Any) -> int:
    """Return where a tensor begins; DamagedError where the head does not say that."""
    try:
        shape, (first, last) = tensor["shape"], tensor["data_offsets"]
        if all(map(json_file.is_whole, (*shape, first, last))) and isinstance(tensor["dtype"], str):
            return int(first)
    except (KeyError, TypeError, ValueError):
        pass
    raise DamagedError(f"its head says nothing sensible of {name[:100]}")
