"""A tensor goes into its file by rows, in any order, and comes out as it went in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bakery.engine.teacher.tensor_file import Rows, written


def read(path: Path) -> torch.Tensor:
    rows = Rows(path)
    found = torch.empty(len(rows), rows.width, dtype=rows.dtype)
    rows.copy_to(found, 0)
    return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_file_is_a_standard_one_in_any_order(
    dtype: torch.dtype, count: int, tmp_path: Path
) -> None:
    path, rows = tmp_path / "deep" / "a.safetensors", torch.randn(count, 3).to(dtype)
    with written(path, (count, 3), dtype, key="k") as put:
        for first in reversed(range(0, count, 2)):
            put(first, rows[first : first + 2])
    assert torch.equal(load_file(path)["features"], rows)
    assert torch.equal(read(path), rows)
    assert Rows(path).key == "k"


def test_rows_that_are_no_neighbours_in_memory_are_written_as_they_read(tmp_path: Path) -> None:
    wide = torch.arange(12.0).view(3, 4).T
    with written(tmp_path / "a", (4, 3), torch.float32, key="") as put:
        put(0, wide)
    assert torch.equal(read(tmp_path / "a"), wide)


def test_rows_behind_four_gigabytes_come_back(tmp_path: Path) -> None:
    path, count, width = tmp_path / "a", (1 << 22) + 2, 256  # the gap takes no space on the disk
    # Some file systems count the gap, or know no gaps.
    if shutil.disk_usage(tmp_path).total < 8 << 30:
        pytest.skip("the disk is too small for the file, holes or not")
    with written(path, (count, width), torch.float32, key="") as put:
        put(count - 2, torch.ones(2, width))
    rows, found = Rows(path), torch.zeros(3, width)
    assert path.stat().st_size > 1 << 32
    rows.copy_to(found, count - 3)
    assert found[:, 0].tolist() == [0.0, 1.0, 1.0]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a"

    def stopping() -> None:
        with written(path, (2, 1), torch.float32, key="") as put:
            put(0, torch.ones(1, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopping()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kept", [0, 4, 60, -1])
def test_a_torn_file_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with written(path, (2, 5), torch.float32, key="k") as put:
        put(0, torch.ones(2, 5))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises((SafetensorError, OSError)):
        Rows(path)
