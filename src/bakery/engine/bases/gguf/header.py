"""What a GGUF file says of itself, read without a tensor and without trusting it.

Any size in it may be a lie: nothing is read beyond the file or `HEADER_MAX`, and of arrays only
the length is kept.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from bakery import pointers
from bakery.errors import ModelError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_MAX = 1 << 28
"""Bytes before the tensors. A vocabulary of 260,000 tokens with its merges takes 20 million."""
MOST_ENTRIES = 1 << 16
MOST_ITEMS = 1 << 22
"""Of all arrays together: whoever reads them may take a kilobyte for each."""
MOST_DIMENSIONS = 4
TEXT_MAX = 1 << 20
ALIGNMENT = 32

TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2),
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
}  # fmt: skip
"""How weights can be stored, by the format's number: name, weights in a block, its bytes."""

PLAIN = ("F32", "F16", "BF16")
"""Numbers as they are: nothing was quantised."""

_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_GIVE = "Give the .gguf file of a chat model, a folder with config.json, or a hub id."

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: how it is stored, how many weights it has, and where they begin in the file."""

    type: str
    weights: int
    start: int


@dataclass(frozen=True, slots=True)
class Header:
    """A file's metadata, and what tensors it has."""

    path: Path
    metadata: Mapping[str, Value]
    """Numbers and texts. Of arrays there is the length, under `arrays`."""
    arrays: Mapping[str, int]
    tensors: Mapping[str, Tensor]

    @property
    def architecture(self) -> str:
        """What the format calls the kind of model."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(tensor.weights for tensor in self.tensors.values())

    @property
    def types(self) -> list[str]:
        """The ways in which weights are stored, that of the most weights first."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors.values():
            counts[tensor.type] += tensor.weights
        return [name for name, _ in counts.most_common()]

    @property
    def is_quantised(self) -> bool:
        """Whether weights are stored as blocks, which unpacking has to work out."""
        return not set(self.types) <= set(PLAIN)

    @property
    def dtype(self) -> str:
        """The dtype that the weights are unpacked to, without rounding any."""
        # A few tensors, the norms, are F32 in every file.
        return "bfloat16" if {"BF16"} <= set(self.types) <= {"BF16", "F32"} else "float32"

    @property
    def unpacked_bytes(self) -> int:
        """How much room the unpacked weights take."""
        return self.weights * (2 if self.dtype == "bfloat16" else 4)

    @property
    def stored(self) -> str:
        """How the weights are stored, in words."""
        return ", ".join(self.types)

    def of_model(self, key: str) -> Value | None:
        """Return what the file says under a key of its own architecture; None: nothing."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def floats(self, name: str) -> tuple[float, ...]:
        """Return the numbers of a small tensor in F32."""
        tensor = self.tensors[name]
        with self.path.open("rb") as file:
            file.seek(tensor.start)
            return struct.unpack(f"<{tensor.weights}f", file.read(4 * tensor.weights))


def read(path: Path) -> Header:
    """Return what a file says of itself; ModelError where it is not a whole GGUF file."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
            _refuse_others(path, start)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _read(path, content)
    except struct.error:
        raise _cut(path) from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def _refuse_others(path: Path, start: bytes) -> None:
    """Refuse a file of another kind by what it is."""
    if start.startswith(pointers.START):
        raise ModelError(
            f"{path} is a git-lfs pointer, not the file it stands for", hint=pointers.PULL
        )
    if not start.startswith(MAGIC):
        what = "is empty" if not start else f"is not: it begins with {start[:12]!r}"
        raise ModelError(
            f"a model in one file has to be a GGUF file, and {path} {what}", hint=_GIVE
        )
    version = int.from_bytes(start[4:8], "little")
    if version and not version & 0xFFFF:
        raise ModelError(
            f"{path} is written for machines of the other byte order", hint="Convert it again here."
        )
    if version not in VERSIONS:
        raise ModelError(
            f"{path} is GGUF version {version}; versions 2 and 3 are read",
            hint="Convert the model again, with a current converter.",
        )


def _read(path: Path, content: mmap.mmap) -> Header:
    cursor = _Cursor(path, content, at=8)
    tensors, entries = cursor.number("Q"), cursor.number("Q")
    for count, what in ((tensors, "tensors"), (entries, "entries of metadata")):
        if count > MOST_ENTRIES:
            raise _nonsense(path, f"it claims to have {count} {what}")
    metadata: dict[str, Value] = {}
    arrays: dict[str, int] = {}
    for _ in range(entries):
        key = cursor.text()
        kind = cursor.number("I")
        if kind == _ARRAY:
            arrays[key] = cursor.skip_array()
        elif kind == _TEXT:
            metadata[key] = cursor.text()
        else:
            metadata[key] = cursor.number(_fixed(path, kind))
    _refuse_part(path, metadata)
    infos = [_tensor(cursor) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise _nonsense(path, f"its alignment is {alignment!r}")
    start = -(-cursor.at // alignment) * alignment
    end = start + max((tensor.start + size for _, tensor, size in infos), default=0)
    if end > len(content):
        raise _cut(path, f"{len(content):,} of {end:,} bytes are there")
    found = {name: replace(tensor, start=start + tensor.start) for name, tensor, _ in infos}
    return Header(path, metadata, arrays, found)


def _tensor(cursor: _Cursor) -> tuple[str, Tensor, int]:
    """Return the name of the tensor that is described next, what it is, and its bytes.

    Where it starts counts from the first of all tensors.
    """
    name, dimensions = cursor.text(), cursor.number("I")
    if dimensions > MOST_DIMENSIONS:
        raise _nonsense(cursor.path, f"{name!r:.80} has {dimensions} dimensions")
    weights = prod(cursor.number("Q") for _ in range(dimensions))
    kind, offset = cursor.number("I"), cursor.number("Q")
    if kind not in TYPES:
        raise ModelError(
            f"{cursor.path} stores {name!r:.80} as GGML type {kind}, which is not supported",
            hint="Give the model in another quantisation, Q8_0 or Q4_K for example.",
        )
    called, block, size = TYPES[kind]
    return name, Tensor(called, weights, offset), weights // block * size


def _refuse_part(path: Path, metadata: Mapping[str, Value]) -> None:
    """Refuse one file of several, before it is called incomplete."""
    parts = metadata.get("split.count", 1)
    if (isinstance(parts, int) and parts > 1) or _SPLIT.search(path.name):
        raise ModelError(
            f"{path} is one of several files of a split model",
            hint="`llama-gguf-split --merge FIRST WHOLE.gguf` of llama.cpp makes one file of them.",
        )


class _Cursor:
    """A place in a file that only moves forward, and never out of what may be read."""

    def __init__(self, path: Path, content: mmap.mmap, *, at: int) -> None:
        self.path, self.at = path, at
        self._content, self._items = content, 0

    def number(self, kind: str) -> int:
        """Return the number, truth value or float that comes next."""
        (value,) = struct.unpack_from(f"<{kind}", self._content, self.at)
        self._move(struct.calcsize(f"<{kind}"))
        found: int = value
        return found

    def text(self) -> str:
        """Return the text that comes next; what is longer than any that is of use is cut."""
        length = self.number("Q")
        start = self.at
        self._move(length)
        return self._content[start : start + min(length, TEXT_MAX)].decode("utf-8", "replace")

    def skip_array(self) -> int:
        """Step over an array, and return how many items it has."""
        kind, count = self.number("I"), self.number("Q")
        self._items += count
        if self._items > MOST_ITEMS:
            raise _nonsense(self.path, f"it claims to have lists of {self._items} items")
        if kind != _TEXT:
            self._move(count * struct.calcsize(f"<{_fixed(self.path, kind)}"))
            return count
        for _ in range(count):
            self._move(self.number("Q"))
        return count

    def _move(self, count: int) -> None:
        self.at += count
        if self.at > len(self._content):
            raise _cut(self.path)
        if self.at > HEADER_MAX:
            raise _nonsense(self.path, "what comes before its weights never ends")


def _fixed(path: Path, kind: int) -> str:
    if kind not in _FIXED:
        raise _nonsense(path, f"it has metadata of type {kind}")
    return _FIXED[kind]


def _cut(path: Path, how: str = "it ends within its own description") -> ModelError:
    return ModelError(
        f"{path} is not complete: {how}", hint="Was its download stopped? Fetch it again."
    )


def _nonsense(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is not a valid GGUF file: {why}", hint=_GIVE)
