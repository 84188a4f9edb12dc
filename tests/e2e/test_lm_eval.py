"""lm-evaluation-harness runs on a merged download, with the task file of docs/eval.md."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Typist, copied

DOC = Path(__file__).parents[2] / "docs" / "eval.md"


def shown(language: str, begins: str) -> str:
    """Return the block of the page that begins so."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if block.startswith(begins))


# The harness is no dependency; docs/eval.md says how to install it, and what this then runs.
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed")
def test_the_harness_runs_on_a_merged_download(baked_repository: Typist, tmp_path: Path) -> None:
    typist = copied(baked_repository, tmp_path / "demo")
    lines = shown("sh", "bgit download").splitlines()
    typist.must("download", "second", *lines[0].split()[3:])
    tasks = typist.root / "tasks"
    tasks.mkdir()
    (tasks / "yoda.yaml").write_text(shown("yaml", "task:"), encoding="utf-8")
    (row,) = re.findall(r"`(\{\"question\".*?\})`", DOC.read_text(encoding="utf-8"))
    (tasks / "yoda.jsonl").write_text(f"{row}\n{row}\n", encoding="utf-8")
    words = [*lines[-1].split()[1:], "--device", "cpu", "--output_path", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", *words],
        cwd=typist.root,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
             "HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (found,) = typist.root.glob("out/**/results_*.json")
    results = json.loads(found.read_text(encoding="utf-8"))["results"]["yoda"]
    assert 0 <= results["acc,none"] <= 1
