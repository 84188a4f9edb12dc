"""One tensor in a safetensors file: rows are written in any order, and read without the rest.

Neither side holds the whole tensor, so a file may be larger than the memory. Shapes: N rows of
the call · D columns.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from bakery.records import sync_folder

Put = Callable[[int, torch.Tensor], None]

_NAME = "features"
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
}


@contextmanager
def written(path: Path, shape: tuple[int, int], dtype: torch.dtype, *, key: str) -> Iterator[Put]:
    """Yield what puts rows (N, D) to their place; the file is there, whole, when the block ends.

    Every row has to be put. `key` is kept in the header. A block that fails, or a disk that is
    full (OSError), leaves nothing.
    """
    header = _header(shape, dtype, key)
    row_bytes = shape[1] * dtype.itemsize
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with draft.open("wb") as file:

            def put(first: int, rows_ND: torch.Tensor) -> None:
                assert rows_ND.dtype is dtype
                assert rows_ND.shape[1] == shape[1]
                assert first + len(rows_ND) <= shape[0]
                file.seek(len(header) + first * row_bytes)
                file.write(_bytes_of(rows_ND.detach().cpu().contiguous()).data)

            file.write(header)
            file.truncate(len(header) + shape[0] * row_bytes)
            yield put
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


class Rows:
    """The rows of such a file, through a read-only map: opening it reads the header alone.

    Raises SafetensorError or OSError where the file is torn, or none. On Linux the rows stay
    when the file's name is removed.
    """

    def __init__(self, path: Path) -> None:
        # "np" maps the file read-only, to check it; torch's map would count as memory in use.
        with safe_open(str(path), framework="np") as file:
            self.key: str | None = (file.metadata() or {}).get("key")
            found = file.get_slice(_NAME)
            num_rows, self.width = found.get_shape()
            code = found.get_dtype()
        self.dtype = next(dtype for dtype, name in _TYPES.items() if name == code)
        self._map = np.zeros((0, self.width * self.dtype.itemsize), np.uint8)
        if num_rows:
            shape = (num_rows, self.width * self.dtype.itemsize)
            start = path.stat().st_size - num_rows * shape[1]
            self._map = np.asarray(np.memmap(path, np.uint8, "r", offset=start, shape=shape))

    def __len__(self) -> int:
        return len(self._map)

    def copy_to(self, out_ND: torch.Tensor, first: int) -> None:
        """Fill `out_ND` with the rows from `first` on."""
        _bytes_of(out_ND)[:] = self._map[first : first + len(out_ND)]


def _bytes_of(rows_ND: torch.Tensor) -> np.ndarray:
    """Return the memory of a contiguous tensor, by row; numpy does not know bfloat16."""
    return rows_ND.view(torch.uint8).numpy()


def _header(shape: tuple[int, int], dtype: torch.dtype, key: str) -> bytes:
    size = shape[0] * shape[1] * dtype.itemsize
    entry = {"dtype": _TYPES[dtype], "shape": list(shape), "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {"key": key}, _NAME: entry}).encode()
    text += b" " * (-len(text) % 8)  # the data begins where eight bytes do
    return len(text).to_bytes(8, "little") + text
