"""A remote of weights that is a folder: what lies there, and commands that are killed at it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Folder:
    """A remote of weights that is a folder."""

    root: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"file://{self.root}"

    def files(self) -> dict[str, bytes]:
        """Return all that lies there."""
        found = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in found}

    def manifests(self) -> list[Path]:
        """Return the manifests of models."""
        return sorted(self.root.glob("models/*/*.json"))

    def object(self, name: str = WEIGHTS, *, of: int = 0) -> Path:
        """Return the object that a manifest has for a file."""
        said = json.loads(self.manifests()[of].read_text("utf-8"))
        (sha256,) = [row["sha256"] for row in said["files"] if row["path"] == name]
        return self.root / "objects" / sha256[:2] / sha256

    def is_whole(self) -> bool:
        """Tell whether each object is what it is called by, and there where a manifest names it."""
        for place, data in self.files().items():
            name = place.rpartition("/")[2]
            if name.endswith(".tmp"):
                continue
            if place.startswith("objects/") and hashlib.sha256(data).hexdigest() != name:
                return False
            if place.startswith(("models/", "data/")):
                for row in json.loads(data)["files"]:
                    sha = row["sha256"]
                    if not (self.root / "objects" / sha[:2] / sha).is_file():
                        return False
        return True


_KILLED_AT = """
import os, signal, sys
mark, at = sys.argv[1], int(sys.argv[2])
events = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.truncate"}
seen = 0
def watch(event, words):
    global seen
    paths = [os.fsdecode(w) for w in words if isinstance(w, (str, bytes))]
    if event in events and any(mark in path for path in paths):
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
sys.argv[1:3] = []
from bakery.cli.app import bgit
bgit(prog_name="bgit")
"""


def killed_at(number: int, mark: str, words: list[str], *, cwd: Path, env: dict[str, str]) -> bool:
    """Run bgit, and kill it (-9) when it touches the n-th path with `mark` in it; tell whether."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_AT, mark, str(number), *words],
        cwd=cwd, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == -signal.SIGKILL:
        return True
    assert done.returncode == 0, done.stderr
    return False
