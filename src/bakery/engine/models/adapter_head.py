"""The head of an adapter's weights: which tensors it has, of which shapes, and where they lie.

Whoever wrote it: what it says is held against the file before anything is believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bakery.engine.bases import heads
from bakery.json_file import DamagedError

LARGEST = 1e6
"""Of a number in an adapter. Trained ones are below a hundred; beyond it half precision ends."""
_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a composed adapter says: its rank, and each layer's inputs and outputs."""

    rank: int
    layers: Mapping[str, tuple[int, int]]


def read(weights: Path) -> Head:
    """Return what the head of a composed adapter says; DamagedError where it is none."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in heads.read(weights).items():
        factor = _FACTOR.fullmatch(name)
        if tensor.dtype not in heads.FLOATS:
            raise DamagedError(f"{name[:100]} holds numbers of the kind {tensor.dtype}")
        if factor is None:
            raise DamagedError(f"no composed adapter holds {name[:100]}")
        if len(tensor.shape) != 2:
            raise DamagedError(f"{name[:100]} is no matrix")
        shapes.setdefault(factor[1], {})[factor[2]] = tensor.shape
    for name, pair in shapes.items():
        if len(pair) != 2:
            missing = "B" if "A" in pair else "A"
            raise DamagedError(f"{name[:100]} has no lora_{missing}")
    ranks = {shape for pair in shapes.values() for shape in (pair["A"][0], pair["B"][1])}
    if len(ranks) != 1 or 0 in ranks:
        raise DamagedError(f"its ranks are {sorted(ranks)}, where one is right for all layers")
    layers = {name: (pair["A"][1], pair["B"][0]) for name, pair in sorted(shapes.items())}
    return Head(ranks.pop(), layers)


def shapes(weights: Path) -> Head:
    """Return inputs and outputs of each layer of any LoRA; what else it holds is left out."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in heads.read(weights).items():
        if (factor := _FACTOR.fullmatch(name)) is not None and len(tensor.shape) == 2:
            found.setdefault(factor[1], {})[factor[2]] = tensor.shape
    whole = {name: pair for name, pair in found.items() if len(pair) == 2}
    return Head(0, {name: (pair["A"][1], pair["B"][0]) for name, pair in whole.items()})


def check_numbers(weights: Path) -> None:
    """Refuse numbers that no training leaves: NaN, infinite, or far too large."""
    import numpy as np

    found = heads.read(weights)
    data = np.memmap(weights, dtype=np.uint8, mode="r")
    for name, tensor in found.items():
        if tensor.dtype not in heads.FLOATS:
            raise DamagedError(f"{name[:100]} holds numbers of the kind {tensor.dtype}")
        raw = data[tensor.start : tensor.stop]
        if tensor.dtype == "BF16":  # the upper half of a number of 32 bits
            numbers = (raw.view("<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = raw.view(f"<f{heads.BITS[tensor.dtype] // 8}")
        if numbers.size and not float(np.abs(numbers).max()) <= LARGEST:
            kind = "NaN" if np.isnan(numbers).any() else "numbers that are infinite or too large"
            raise DamagedError(f"{name[:100]} holds {kind}")
