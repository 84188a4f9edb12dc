"""The head of a safetensors file: which tensors it holds, of which shapes, and where they lie.

Whoever wrote it: what it says is held against the file before anything is believed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.json_file import DamagedError

LONGEST = 100 << 20
"""Bytes before the tensors: as many as safetensors itself reads."""
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8,
    "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""What a number takes in a file."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: the file it lies in, how it is stored, its shape, and where in the file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors that a file names, each of which lies in it and by itself.

    DamagedError where that is not so, OSError where the file cannot be read.
    """
    with json_file.open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, LONGEST):
            raise DamagedError("it is no safetensors file, or cut short")
        head = json_file.as_object(json_file.parse(file.read(length)))
    head.pop("__metadata__", None)
    told = [_told(path, name, entry, 8 + length) for name, entry in head.items()]
    found: dict[str, Tensor] = {}
    end = 8 + length
    for name, tensor in sorted(told, key=lambda one: (one[1].start, one[1].stop)):
        bits = 8 * (tensor.stop - tensor.start)
        if tensor.start != end or bits != math.prod(tensor.shape) * BITS[tensor.dtype]:
            raise DamagedError(f"{name[:100]} does not lie behind the tensor before it")
        found[name], end = tensor, tensor.stop
    if end != size:
        raise DamagedError(f"it has {size:,} bytes instead of {end:,}")
    return found


def _told(path: Path, name: str, entry: Any, begin: int) -> tuple[str, Tensor]:
    """Return what a head says of one tensor; DamagedError where that is nothing sensible."""
    try:
        dtype, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sensible = isinstance(dtype, str) and all(map(json_file.is_whole, (*shape, first, last)))
    except (KeyError, TypeError, ValueError):
        sensible = False
    if not sensible:
        raise DamagedError(f"its head says nothing sensible of {name[:100]}")
    if dtype not in BITS:
        raise DamagedError(f"{name[:100]} holds numbers of the kind {dtype!r:.20}")
    return name, Tensor(path, dtype, tuple(shape), begin + first, begin + last)
