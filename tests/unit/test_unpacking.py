"""Archives that lead elsewhere are refused before a byte of them is written."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from bakery.app import unpacking
from bakery.app.unpacking import unpack
from bakery.errors import BakeryError, ModelError


def entry(name: str, content: bytes = b"x", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def packed(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


GOOD = entry("model/adapter_model.safetensors", b"weights")


@pytest.mark.parametrize(
    "bad",
    [
        entry("../adapter_model.safetensors"),
        entry("model/../../done.json"),
        entry("/tmp/adapter_model.safetensors"),
        entry("C:/adapter_model.safetensors"),
        entry("..\\done.json"),
        entry("model/slices.json", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("model/slices.json", b"", type=tarfile.LNKTYPE, linkname="../../x"),
        entry("model/done.json", b"", type=tarfile.FIFOTYPE),
        entry("model/done.json", b"", type=tarfile.CHRTYPE),
        entry("notes/link", b"", type=tarfile.SYMTYPE, linkname="/"),
    ],
    ids=lambda item: item[0].name,
)
def test_an_archive_that_leads_elsewhere_is_refused_whole(workplace, bad):
    archive = packed(workplace / "bad.tar.gz", GOOD, bad)
    with pytest.raises(ModelError, match="is refused: its entry"):
        unpack(archive, workplace / "out")
    assert not (workplace / "out").exists()


def test_only_files_that_bgit_knows_are_written(workplace):
    archive = packed(
        workplace / "good.tar.gz",
        GOOD,
        entry("model/adapter_model.bin"),
        entry("model/run.py"),
        entry("model/slices.json", b"[]"),
    )
    unpack(archive, workplace / "out")
    found = sorted(path.name for path in (workplace / "out").rglob("*") if path.is_file())
    assert found == ["adapter_model.safetensors", "slices.json"]


@pytest.mark.parametrize("cut", [0, 10, 60])
def test_half_an_archive_is_no_archive(workplace, cut):
    archive = packed(workplace / "half.tar.gz", entry("m/stimuli.jsonl", bytes(range(256)) * 40))
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(ModelError, match="is not a complete tar archive"):
        unpack(archive, workplace / "out")


def test_a_file_that_is_there_twice_is_refused(workplace):
    archive = packed(workplace / "twice.tar.gz", GOOD, GOOD)
    with pytest.raises(ModelError, match="holds a file twice"):
        unpack(archive, workplace / "out")


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_an_archive_that_is_damaged_inside_is_refused(workplace, ending):
    info, content = entry("model/adapter_model.safetensors", random.Random(1).randbytes(1 << 20))
    archive = workplace / f"damaged.tar.{ending}"
    with tarfile.open(archive, f"w:{ending}") as tar:
        tar.addfile(info, io.BytesIO(content))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    archive.write_bytes(data)
    with pytest.raises(BakeryError, match=r"complete tar archive|cannot be unpacked"):
        unpack(archive, workplace / "out")


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 3)
    archive = packed(tmp_path / "a.tar.gz", *(entry(f"a/{number}") for number in range(5)))
    with pytest.raises(ModelError, match="more than 3 files"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_small_archive_of_large_files_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(unpacking, "SPARE", 1000)
    archive = packed(tmp_path / "a.tar.gz", entry("a/stimuli.jsonl", bytes(1 << 20)))
    with pytest.raises(ModelError, match=r"it holds more than [0-9,]* bytes"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
