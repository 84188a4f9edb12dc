"""The `bakery` command, typed by tests: mostly in this process, as importing torch takes long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bakery.cli.bakery import main

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--torch_dtype", "float32", "--r", "4", "--lora_alpha", "8", "--learning_rate", "5e-3"),
    *("--num_trajectories", "2", "--trajectory_length", "16", "--first_weights", "random"),
)
"""Small and quick; from random weights, so that what is seen to be learnt was trained."""


@dataclass(frozen=True)
class Typed:
    """What the command answered."""

    code: int
    out: str
    err: str


def typed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> Typed:
    """Run one command line in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return Typed(int(ended.value.code or 0), said.out, said.err)


def spawned(command: Sequence[str | Path], cwd: Path) -> Typed:
    """Run a program in a process of its own."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Typed(done.returncode, done.stdout, done.stderr)


def bakery_script() -> Path:
    """Return the installed command."""
    return Path(sys.executable).with_name("bakery")


def results(out: Path) -> dict[str, Any]:
    """Return results.json."""
    found: dict[str, Any] = json.loads((out / "results.json").read_text("utf-8"))
    return found


def steps(out: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl that hold a training loss."""
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    return [row for row in map(json.loads, lines) if "loss" in row]


def losses(out: Path) -> list[float]:
    """Return the loss of every step."""
    return [row["loss"] for row in steps(out)]
