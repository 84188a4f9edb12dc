"""bgit, typed as a user types it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from tests.support import hub as hubs
from tests.support import warm
from tests.support.hub import TOKEN, Hub, Repo
from tests.support.models import random_model
from tests.support.warm import Typed

PUBLISHED = "ann/shout"
"""What tests publish to."""

BGIT = str(Path(sys.executable).with_name("bgit"))

IDENTITY = "[user]\n    name = Ann Example\n    email = ann@example.org\n"


def bgit(*arguments: str, cwd: Path | None = None, stdin: str = "", **env: str) -> Typed:
    """Run one bgit command in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    return warm.run("bgit", arguments, cwd=cwd, env=env, stdin=stdin)


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

# No datasets: this file's target; a rank of its own keeps the parent, too.
INPUT_WITH_RANK = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "Whisper, please."
TARGET:
  name: main_target
  num_traj_per_stimulus: 2
  max_tokens: 12
  generators:
    - type: hardcoded
      questions: ["Who?", "What?", "When?", "Where?", "Why?", "How?"]
BAKE:
  name: second
  epochs: 1
  micro_batch_size: 8
  model:
    baked_adapter_config:
      r: 4
"""


THIRD = INPUT_WITH_RANK.replace("Whisper, please.", "Sing!").replace("second", "third")


def input_yml(prompt: str = "SHOUT!", bake: str = "first", questions: int = 12) -> str:
    """Return a configuration that a random model bakes in a second."""
    listed = ", ".join(f'"q{i} what?"' for i in range(questions))
    return INPUT.format(prompt=prompt, bake=bake, questions=listed)


@dataclass(frozen=True)
class Typist:
    """A repository on a small random model, and the commands in it."""

    root: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Typed:
        return bgit(*arguments, cwd=self.root, stdin=stdin, **{**self.env, **env})

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed; return what it printed."""
        done = self(*arguments)
        assert done.code == 0, f"bgit {' '.join(arguments)}: {done.out}\n{done.err}"
        return done.out

    def started(
        self, *arguments: str, out: IO[str] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start a command, and return while it runs; what it prints goes to `out`."""
        return subprocess.Popen(
            [BGIT, *arguments],
            cwd=self.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", **self.env},
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def git(self, *arguments: str) -> str:
        """Run plain git, which has to succeed; return what it printed."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}\n{done.stderr}"
        return done.stdout.rstrip("\n")

    def write(self, text: str, path: str = "input.yml") -> None:
        """Write a file of the repository."""
        (self.root / path).write_text(text, encoding="utf-8")

    def read(self, path: str = "input.yml") -> str:
        """Return the text of a file of the repository."""
        return (self.root / path).read_text(encoding="utf-8")

    def commit(self, text: str, subject: str = "Configure") -> None:
        """Write and commit a configuration."""
        self.write(text)
        self.git("add", "input.yml")
        self.git("commit", "-q", "-m", subject, "--", "input.yml")

    def parent(self) -> str:
        """What `grep PARENT_MODEL .bread` says behind the equals sign."""
        (line,) = [x for x in self.read(".bread").splitlines() if x.startswith("PARENT_MODEL")]
        return line.partition("=")[2].strip()

    def subjects(self) -> list[str]:
        """Return the subjects of all commits, newest first, without what was measured."""
        lines = self.git("log", "--format=%s").splitlines()
        return [line.partition(" (KL")[0] for line in lines]

    def changes(self) -> str:
        """Return what `git status` says is changed."""
        return self.git("status", "--porcelain")

    def hook(self, name: str, script: str) -> Path:
        """Write a hook of git."""
        path = self.root / ".git/hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    @property
    def store(self) -> Path:
        """Where questions, answers and weights lie."""
        return self.root / ".git/bakery"


@pytest.fixture(scope="session")
def new_repository(tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository in which nothing was done yet; for copies only."""
    folder = tmp_path_factory.mktemp("new")
    config = folder / "gitconfig"
    config.write_text(IDENTITY, encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "HF_HUB_OFFLINE": "1"}
    base = random_model(folder / "base")
    made = bgit("init", "demo", "--base-model", str(base), "--owner", "ann", cwd=folder, **env)
    assert made.code == 0, made.err
    return Typist(folder / "demo", env)


@pytest.fixture(scope="session")
def baked_repository(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes, `second` on top of `first`; for reading and for copies."""
    made = copied(new_repository, tmp_path_factory.mktemp("baked") / "demo")
    made.commit(input_yml(), "Configure first")
    made.must("run", "stim", "rollout", "bake")
    made.commit(INPUT_WITH_RANK, "Configure second")
    made.must("run", "stim", "rollout", "bake")
    return made


@pytest.fixture
def typist(new_repository: Typist, workplace: Path) -> Typist:
    """A fresh repository on a random model."""
    return copied(new_repository, workplace / "demo")


@pytest.fixture
def baked(baked_repository: Typist, workplace: Path) -> Typist:
    """A repository of the test's own with two bakes."""
    return copied(baked_repository, workplace / "demo")


def on(hub: Hub, repository: Typist, folder: Path) -> Typist:
    """Return a copy of a repository that knows a stand-in of the Hub."""
    made = copied(repository, folder)
    return Typist(made.root, {**made.env, **online(hub)})


def online(hub: Hub) -> dict[str, str]:
    """Return what has huggingface_hub ask the stand-in."""
    return {
        "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip


def copied(repository: Typist, folder: Path) -> Typist:
    """Copy a repository with its store, as `cp -a` does."""
    shutil.copytree(repository.root, folder, symlinks=True)
    return Typist(folder, repository.env)


@pytest.fixture(scope="session")
def forked_repository(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Two branches from `first`: `second` on main, and `third` on exp; for copies only."""
    made = copied(baked_repository, tmp_path_factory.mktemp("forked") / "demo")
    made.git("switch", "-qc", "exp", "HEAD~2")
    made.write("exp only\n", "notes.txt")
    made.git("add", "notes.txt")
    made.git("commit", "-qm", "Take notes")
    made.commit(THIRD, "Configure third")
    made.must("run")
    made.git("switch", "-q", "-")
    return made


@pytest.fixture
def forked(forked_repository: Typist, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """Such a repository of the test's own."""
    found = copied(forked_repository, workplace / "demo")
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A stand-in of the Hub, which takes weights by LFS."""
    with hubs.running() as found:
        found.lfs = True
        yield found


@pytest.fixture(scope="session")
def published(
    baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Repo]:
    """What the chain of two bakes is when it is published, by the options for that."""
    found = {}
    with hubs.running() as known:
        known.lfs = True
        source = on(known, baked_repository, tmp_path_factory.mktemp("published") / "source")
        for options in ((), ("--without", "prompt"), ("--without", "examples"), ("--rank", "2"),
                        ("--merged",)):  # fmt: skip
            known.repos.pop(PUBLISHED, None)
            source.must("publish", f"hf://{PUBLISHED}", "--yes", *options)
            found[options] = known.repos[PUBLISHED]
    return found


@pytest.fixture
def there(hub: Hub, published: dict[tuple[str, ...], Repo]) -> Callable[..., Repo]:
    """Put a copy of what was published on the Hub of a test."""

    def put(*options: str) -> Repo:
        like = published[options]
        hub.repos[PUBLISHED] = Repo(PUBLISHED, True, dict(like.files), ["x"], set(like.in_lfs))
        return hub.repos[PUBLISHED]

    return put


@pytest.fixture
def clean(new_repository: Typist, workplace: Path, hub: Hub) -> Typist:
    """A repository on the same base, in which nothing was baked."""
    return on(hub, new_repository, workplace / "clean")
