"""How weights are stored in a GGUF file: as numbers, as blocks, or as another file has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
from gguf import GGMLQuantizationType as Kind

from bakery.engine.bases.gguf import header

KINDS: Mapping[str, Kind] = {"f32": Kind.F32, "f16": Kind.F16, "bf16": Kind.BF16, "q8_0": Kind.Q8_0}
"""By what people call them."""

LOSS: Mapping[Kind, float] = {
    Kind.F32: 0.0, Kind.F16: 1e-3, Kind.BF16: 4e-3, Kind.Q8_0: 6e-3, Kind.Q5_1: 0.04,
    Kind.Q5_0: 0.07, Kind.Q4_1: 0.08, Kind.Q4_0: 0.13,
}  # fmt: skip
"""What can be written, and the most that storing may change a number, as a share of the largest
number of its weight."""

_FILE_TYPES: Mapping[Kind, int] = {
    Kind.F32: 0, Kind.F16: 1, Kind.Q4_0: 2, Kind.Q4_1: 3, Kind.Q8_0: 7, Kind.Q5_0: 8,
    Kind.Q5_1: 9, Kind.BF16: 32,
}  # fmt: skip
"""What a file calls itself by how most of it is stored."""
_GUESSED = 1024
INSTEAD = Kind.Q8_0
"""Of kinds of blocks that the package cannot write."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How the weights of one file are stored."""

    matrices: Kind
    """What every matrix is stored as, unless `each` says otherwise. Vectors are always numbers."""
    each: Mapping[str, Kind] = field(default_factory=dict)
    """By the name in the file."""
    source: Path | None = None
    """The file that `each` was read from: what is not changed is copied out of it."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.matrices.name.lower()

    @property
    def file_type(self) -> int:
        """What the file says of itself."""
        return _FILE_TYPES.get(self.matrices, _GUESSED)

    @property
    def is_exact(self) -> bool:
        """Whether no number is rounded."""
        return {self.matrices, *self.each.values()} == {Kind.F32}

    def kind(self, name: str, shape: tuple[int, ...]) -> Kind:
        """Return how a weight is stored that is not copied."""
        if len(shape) < 2:
            return Kind.F32
        asked = self.each.get(name, self.matrices)
        found = asked if asked in LOSS else INSTEAD
        return found if shape[-1] % gguf.GGML_QUANT_SIZES[found][0] == 0 else Kind.F16


def of(name: str) -> Storage:
    """Return the storage that people call by a name."""
    return Storage(KINDS[name])


def of_file(path: Path) -> Storage:
    """Return how a base's own file stores its weights."""
    found = header.read(path)
    each = {name: Kind[tensor.type] for name, tensor in found.tensors.items()}
    return Storage(Kind[found.types[0]], each, path)
