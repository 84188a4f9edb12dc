"""What a base is: the digest of its files, what is compared beside it, and blobs of the hub."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bakery.engine.bases import bases, hashed, weights
from bakery.errors import ModelError
from bakery.identity import file_digest
from tests.support.model_folders import change, model_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("generation_config.json", '{"eos_token_id": 2}', '{"eos_token_id": [2, 3]}'),
        ("generation_config.json", '{"eos_token_id": 2}', None),
        ("generation_config.json", None, '{"eos_token_id": 3}'),
        ("added_tokens.json", None, '{"<|end|>": 3}'),
    ],
)
def test_what_decides_where_turns_end_is_part_of_a_base(folder, name, before, after):
    def write(content: str | None) -> None:
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_text(content)

    write(before)
    base = bases.identify(str(folder))
    write(after)
    with pytest.raises(ModelError, match=rf"has changed: .*{name}.* is not what it was") as caught:
        bases.check(base)
    assert caught.value.exit_code == 5
    bases.check(replace(base, beside=""))  # one that was recorded before anybody looked
    write(before)
    bases.check(base)


def test_a_configuration_may_have_an_endless_time_step(folder):
    change(folder / "config.json", time_step_limit=[0.0, float("inf")])
    assert "Infinity" in (folder / "config.json").read_text()
    bases.identify(str(folder))


def test_settings_that_decide_nothing_may_change(folder):
    path = folder / "generation_config.json"
    base = bases.identify(str(folder))
    said = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**said, "transformers_version": "9.0", "temperature": 0.3}))
    bases.check(base)


@pytest.fixture
def blob(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder's weights where the hub's cache has them: under their digest."""
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "cache"))
    path = folder / weights.ONE
    kept = tmp_path / "blobs" / file_digest(path)
    kept.parent.mkdir()
    path.rename(kept)
    path.symlink_to(kept)
    os.utime(kept, ns=(0, 0))
    return kept


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file for one that nobody has written to for long."""
    monkeypatch.setattr(hashed, "SETTLED_NS", -1)


def test_a_blob_of_the_hub_is_hashed_once(folder, blob, monkeypatch):
    settled(monkeypatch)
    first = bases.content_digest(folder)
    inside = blob.parent.parent / "cache" / "hashed.json"
    assert str(blob) in json.loads(inside.read_text())
    monkeypatch.setattr(hashed, "file_digest", lambda path: pytest.fail("it is hashed again"))
    assert bases.content_digest(folder) == first


def test_a_blob_that_was_written_just_now_is_hashed_again(folder, blob):
    bases.content_digest(folder)
    assert not (blob.parent.parent / "cache" / "hashed.json").exists()


@pytest.mark.parametrize("when", ["never hashed", "hashed before"])
def test_a_blob_that_is_not_what_it_is_called_is_refused(folder, blob, when, monkeypatch):
    settled(monkeypatch)
    if when == "hashed before":
        bases.content_digest(folder)
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(bytes(data))
    os.utime(blob, ns=(0, 0))  # as old and as long as before
    with pytest.raises(ModelError, match="in the hub's cache is damaged"):
        bases.content_digest(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"x": 3}'])
def test_an_index_that_is_damaged_knows_nothing(folder, blob, content, monkeypatch):
    settled(monkeypatch)
    index = blob.parent.parent / "cache" / "hashed.json"
    index.parent.mkdir()
    index.write_text(content)
    digest = bases.content_digest(folder)
    assert bases.content_digest(folder) == digest
    assert str(blob) in json.loads(index.read_text())
