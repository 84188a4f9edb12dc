"""What a stage says of itself, where its file was damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.errors import StageError
from bakery.store.results import checked_result, seen

DAMAGED = [b"", b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"count": "x"}']


@pytest.mark.parametrize("data", DAMAGED, ids=lambda data: data[:8])
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "done.json").write_bytes(data)
    with pytest.raises(StageError, match=r"done\.json is damaged") as caught:
        checked_result(tmp_path)
    assert "what is there is kept" in str(caught.value.hint)


@pytest.mark.parametrize("data", [*DAMAGED, b"{}"], ids=lambda data: data[:8])
def test_a_damaged_result_of_a_bake_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "done.json").write_text("{}", encoding="utf-8")
    (tmp_path / "bake.json").write_bytes(data)
    with pytest.raises(StageError, match=r"bake\.json is damaged"):
        checked_result(tmp_path)


@pytest.mark.parametrize("data", DAMAGED[:-1], ids=lambda data: data[:8])
def test_a_look_at_progress_takes_a_damaged_file_for_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "done.json").write_bytes(data)
    assert seen(tmp_path / "done.json") is None
