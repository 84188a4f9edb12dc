"""bgit, typed as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.models import random_model

BGIT = str(Path(sys.executable).with_name("bgit"))


@dataclass(frozen=True)
class Typed:
    """What a command answered."""

    code: int
    out: str
    err: str


def bgit(*arguments: str, cwd: Path | None = None, stdin: str = "", **env: str) -> Typed:
    """Run one bgit command in a process of its own."""
    done = subprocess.run(
        [BGIT, *arguments],
        cwd=cwd,
        input=stdin,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Typed(done.returncode, done.stdout, done.stderr)


INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "{prompt}"
TARGET:
  name: main_target
  num_traj_per_stimulus: 2
  max_tokens: 12
  generators:
    - type: hardcoded
      questions: [{questions}]
BAKE:
  name: {bake}
  epochs: 2
  micro_batch_size: 8
  datasets:
    - target: main_target
      weight: 1.0
"""


def input_yml(prompt: str = "SHOUT!", bake: str = "first", questions: int = 12) -> str:
    """Return a configuration that a random model bakes in a second."""
    listed = ", ".join(f'"q{i} what?"' for i in range(questions))
    return INPUT.format(prompt=prompt, bake=bake, questions=listed)


@dataclass(frozen=True)
class Typist:
    """A repository on a small random model, and the commands in it."""

    root: Path

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Typed:
        return bgit(*arguments, cwd=self.root, stdin=stdin, **env)

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self(*arguments)
        assert done.code == 0, f"bgit {' '.join(arguments)}: {done.out}\n{done.err}"
        return done.out

    def configure(self, prompt: str = "SHOUT!", bake: str = "first", **more: int) -> None:
        """Write and commit a configuration."""
        (self.root / "input.yml").write_text(input_yml(prompt, bake, **more), encoding="utf-8")
        self.must("add", "input.yml")
        self.must("commit", "-q", "-m", f"Configure {bake}")

    def bake(self, prompt: str = "SHOUT!", bake: str = "first") -> str:
        """Configure and run all stages; return the bake's commit."""
        self.configure(prompt, bake)
        self.must("run", "stim", "rollout", "bake")
        return self.must("rev-parse", "HEAD").strip()

    def parent(self) -> str:
        """What `grep PARENT_MODEL .bread` says behind the equals sign."""
        lines = (self.root / ".bread").read_text(encoding="utf-8").splitlines()
        (line,) = [line for line in lines if line.startswith("PARENT_MODEL")]
        return line.partition("=")[2].strip()


@pytest.fixture
def typist(tmp_path: Path) -> Typist:
    """A fresh repository on a random model."""
    base = random_model(tmp_path / "base")
    made = bgit("init", "demo", "--base-model", str(base), "--owner", "ann")
    assert made.code == 0, made.err
    return Typist(Path.cwd() / "demo")
