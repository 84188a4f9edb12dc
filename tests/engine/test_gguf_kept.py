"""A GGUF file is unpacked once; what is kept of it is what was unpacked, or is made anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bakery.engine.bases import bases
from bakery.engine.bases.gguf import kept, refused
from bakery.engine.models import models
from bakery.errors import ModelError
from bakery.identity import BaseModelId, file_digest
from bakery.reporting import Quiet
from tests.support.gguf_models import as_gguf

LOAD = """
import sys
from pathlib import Path
from bakery.engine.bases.gguf import kept
from bakery.identity import file_digest
from bakery.ui.progress import Lines

path = Path(sys.argv[1])
kept.unpacked(path, file_digest(path), reporter=Lines())
"""


class Watching(Quiet):
    """Keeps what is told of progress, too."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int, int]] = []

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Keep a state."""
        self.seen.append((label, done, total))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a file, and the cache that it was unpacked into once."""
    folder = tmp_path_factory.mktemp("gguf")
    path = as_gguf(folder / "small.gguf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAKERY_CACHE", str(folder / "cache"))
        kept.unpacked(path, file_digest(path))
    return path, folder / "cache"


@pytest.fixture
def base(made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModelId:
    """Return a base in a file that is unpacked, in a cache of the test's own."""
    path, cache = made
    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "cache"))
    return bases.identify(str(path))


def load_again(base: BaseModelId) -> list[str]:
    told = Quiet()
    models.load(base, reporter=told)
    return told.notes


def test_what_is_kept_is_not_unpacked_again(base):
    assert load_again(base) == []


def test_the_first_use_says_what_it_does_and_how_far_it_is(made, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "other"))
    told, (path, _) = Watching(), made
    found = kept.unpacked(path, file_digest(path), reporter=told)
    assert told.notes == [
        f"unpacking small.gguf (F32) to float32: once, kept in {found.folder}",
    ]
    assert told.seen[-1] == ("unpack", 21, 21)
    assert [done for _, done, _ in told.seen] == sorted({done for _, done, _ in told.seen})
    said = capfd.readouterr()
    assert said.out + said.err == ""  # no bars of transformers


def test_how_a_base_was_unpacked_goes_along_with_it(base):
    loaded = models.load(base)
    assert loaded.unpacked["from"] == "F32"
    assert len(loaded.unpacked["digest"]) == 64
    assert loaded.context == 512
    assert loaded.chat.end_ids == {2}
    assert loaded.chat.pad_id == 0


def damage_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def lose_a_file(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def add_a_file(folder: Path) -> None:
    (folder / "chat_template.json").write_text("{}")


def lose_the_manifest(folder: Path) -> None:
    (folder / kept.MANIFEST).unlink()


def damage_the_manifest(folder: Path) -> None:
    (folder / kept.MANIFEST).write_text('{"schema": 1')


def be_of_another_file(folder: Path) -> None:
    said = json.loads((folder / kept.MANIFEST).read_text())
    (folder / kept.MANIFEST).write_text(json.dumps({**said, "source": "0" * 64}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (damage_weights, "is damaged (model.safetensors)"),
        (lose_a_file, "is damaged (tokenizer.json)"),
        (add_a_file, "holds chat_template.json, which does not belong there"),
        (lose_the_manifest, "has no valid unpacked.json"),
        (damage_the_manifest, "has no valid unpacked.json"),
        (be_of_another_file, "is of another file, or of another version of bakery"),
    ],
)
def test_a_folder_that_was_changed_is_not_what_was_unpacked(change, told, base):
    folder = kept.place(base.digest)
    assert kept.problem(folder, base.digest) is None
    change(folder)
    assert kept.problem(folder, base.digest) == told


@pytest.mark.slow
def test_a_damaged_folder_is_named_and_made_anew_to_the_byte(base):
    folder = kept.place(base.digest)
    before = {file.name: file_digest(file) for file in folder.iterdir()}
    left = folder.with_name(f".{folder.name}.1.tmp")  # of a process that was killed
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    damage_weights(folder)
    notes = load_again(base)
    assert notes[0] == (
        f"{folder}, where small.gguf is kept unpacked, is damaged (model.safetensors): "
        "unpacking it anew"
    )
    assert {file.name: file_digest(file) for file in folder.iterdir()} == before
    assert not left.exists()


@pytest.mark.slow
def test_two_processes_at_once_unpack_it_once(made, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "shared"))
    path, _ = made
    started = [
        subprocess.Popen([sys.executable, "-c", LOAD, str(path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert sum("note: unpacking small.gguf" in text for text in said) == 1
    assert [file.name for file in (tmp_path / "shared/gguf").iterdir() if file.is_dir()] == [
        file_digest(path)[:16]
    ]


@pytest.mark.slow
def test_what_the_other_process_refuses_is_refused_here(tmp_path, monkeypatch):
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "cache"))
    more = {"blk.0.attn_q.bias": np.ones(32, np.float32)}
    base = bases.identify(str(as_gguf(tmp_path / "odd.gguf", more=more)))
    with pytest.raises(ModelError, match=r"odd.gguf holds .* weights, and the model") as caught:
        models.load(base)
    assert caught.value.hint == refused.SAFETENSORS
    assert not kept.place(base.digest).exists()
    assert list((tmp_path / "cache/gguf").glob(".*")) == []


def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(base, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be written") as caught:
        models.load(base)
    assert "BAKERY_CACHE" in str(caught.value.hint)


def test_a_file_that_changed_is_refused_before_what_is_kept_is_looked_at(base, tmp_path):
    moved = as_gguf(tmp_path / "small.gguf", **{"general.name": "another"})
    with pytest.raises(ModelError, match="has changed: its digest is"):
        models.load(BaseModelId(str(moved), "", base.digest))
