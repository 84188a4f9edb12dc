"""Go's own text/template, asked by tests: what Ollama would make of a template and messages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("ollama.go")

# Ollama's templates are Go's: only Go itself says what they render, and nothing else here needs it.
needs_go = pytest.mark.skipif(
    shutil.which("go") is None, reason="there is no go: `apt-get install golang-go`"
)

Talk = Sequence[Mapping[str, str]]


def rendered(template: str, talks: Sequence[Talk], cache: Path) -> list[str]:
    """Return the texts of conversations; `cache` is a folder for what Go compiles."""
    jobs = [{"template": template, "messages": list(talk)} for talk in talks]
    done = subprocess.run(
        ["go", "run", str(PROGRAM)],
        input=json.dumps(jobs),
        env={**os.environ, "GOCACHE": str(cache), "GO111MODULE": "off", "GOFLAGS": ""},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found
