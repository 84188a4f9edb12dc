"""The repository of tests/fixtures/version_1, and what was known of it when it was made."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

FIXTURE = Path(__file__).parents[1] / "fixtures/version_1"

EXPECTED: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))

BAKES: dict[str, dict[str, Any]] = {bake["name"]: bake for bake in EXPECTED["bakes"]}


def unpacked(folder: Path) -> Path:
    """Unpack the repository with its store into a new folder, and return that."""
    with tarfile.open(FIXTURE / "repository.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    # The index is left out of the archive: it would hold times of the machine that made it.
    subprocess.run(["git", "reset", "-q"], cwd=folder, check=True)
    return folder


def full_name(short: str) -> str:
    """Return the name of a bake with its id."""
    (found,) = [name for name in BAKES if name[:-17] == short]
    return found
