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

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""What the numbers of an adapter may be."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
LARGEST = 1e6
"""Of a number in an adapter. Trained ones are below a hundred; beyond it half precision ends."""
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
        if tensor["dtype"] not in _FLOATS:
            raise DamagedError(f"{name[:100]} holds numbers of the kind {tensor['dtype']}")
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
    found, start, size = _parsed(weights)
    found.pop("__metadata__", None)
    ends = [0]
    for name, tensor in sorted(found.items(), key=lambda item: _start_of(*item)):
        shape, (first, last) = tensor["shape"], tensor["data_offsets"]
        if tensor["dtype"] not in _BITS:
            raise DamagedError(f"{name[:100]} holds numbers of the kind {tensor['dtype']!r:.20}")
        if first != ends[-1] or 8 * (last - first) != math.prod(shape) * _BITS[tensor["dtype"]]:
            raise DamagedError(f"{name[:100]} does not lie behind the tensor before it")
        ends.append(last)
    if ends[-1] != size - start:
        raise DamagedError(f"it has {size:,} bytes instead of {ends[-1] + start:,}")
    return found


def _parsed(weights: Path) -> tuple[dict[str, Any], int, int]:
    """Return what the head of a file says, where the numbers begin, and how long the file is."""
    with json_file.open_regular(weights) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, _HEAD_MAX):
            raise DamagedError("it is no safetensors file, or cut short")
        return json_file.as_object(json_file.parse(file.read(length))), 8 + length, size


def check_numbers(weights: Path) -> None:
    """Refuse numbers that no training leaves: NaN, infinite, or far too large."""
    import numpy as np

    found, (_, start, _) = tensors(weights), _parsed(weights)
    data = np.memmap(weights, dtype=np.uint8, mode="r")
    for name, tensor in found.items():
        if tensor["dtype"] not in _FLOATS:
            raise DamagedError(f"{name[:100]} holds numbers of the kind {tensor['dtype']}")
        first, last = tensor["data_offsets"]
        raw = data[start + first : start + last]
        if tensor["dtype"] == "BF16":  # the upper half of a number of 32 bits
            numbers = (raw.view("<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = raw.view(f"<f{_BITS[tensor['dtype']] // 8}")
        if numbers.size and not float(np.abs(numbers).max()) <= LARGEST:
            kind = "NaN" if np.isnan(numbers).any() else "numbers that are infinite or too large"
            raise DamagedError(f"{name[:100]} holds {kind}")


def _start_of(name: str, tensor: Any) -> int:
    """Return where a tensor begins; DamagedError where the head does not say that."""
    try:
        shape, (first, last) = tensor["shape"], tensor["data_offsets"]
        if all(map(json_file.is_whole, (*shape, first, last))) and isinstance(tensor["dtype"], str):
            return int(first)
    except (KeyError, TypeError, ValueError):
        pass
    raise DamagedError(f"its head says nothing sensible of {name[:100]}")
