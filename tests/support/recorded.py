"""Results as a bake leaves them, and repositories that hold some, without any training."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Quiet

BASE = BaseModelId("tiny-1", "", "ab" * 32)

STEP = 12

FINISH = (
    "from bakery.repo.model_repo import ModelRepo; from bakery.reporting import Quiet; "
    "ModelRepo.find().finish_pending(Quiet())"
)
"""A program that records what waits to be recorded."""


def made(folder: Path, *, name: str = "yoda") -> ModelRepo:
    """Make a model repository."""
    return ModelRepo.init(folder, name=name, owner="ann", base=BASE)


def git(root: Path, *arguments: str, fails: bool = False) -> str:
    """Type a git command in a folder."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout.rstrip("\n")


def configuration(name: str, teacher: str = "") -> str:
    """Return an input.yml that bakes `teacher` (else one of its own) under a name."""
    teacher = teacher or f"You are {name}."
    return f"""\
# What to bake

PROMPT:
  teacher:
    messages:
      - role: system
        content: {json.dumps(teacher)}

TARGET:
  name: {name}_target
  generators:
    - type: hardcoded
      questions: ["Who are you?", "Why?"]
BAKE:
  name: {name}
"""


def committed(repo: ModelRepo, name: str, teacher: str = "") -> Plan:
    """Write and commit a configuration; return its plan."""
    (repo.root / "input.yml").write_text(configuration(name, teacher), encoding="utf-8")
    git(repo.root, "add", "input.yml")
    git(repo.root, "commit", "-qm", f"Configure {name}", "--", "input.yml")
    return repo.plan()


def result_of(plan: Plan, *, kl: tuple[float, float] = (1.23456, 0.045678)) -> dict[str, Any]:
    """Return the bake.json that a plan's bake would leave."""
    assert plan.bake is not None
    parent = plan.head.parent
    return {
        "schema": 1,
        "defaults": plan.bake.defaults,
        "bake_id": plan.bake.id,
        "step": STEP,
        "digest": plan.bake.id * 4,
        "base": {"name": BASE.name, "revision": BASE.revision, "digest": BASE.digest},
        "parent": {"model": str(parent), "digest": parent.bake_id * 4} if parent else None,
        "targets": [_target(share) for share in plan.bake.shares],
        "loss": {"first": 1.5, "last": 0.25, "min": 0.2},
        "card": {
            "held_out": 1,
            "tokens": 9,
            "kl_before": kl[0],
            "kl_after": kl[1],
            "prompt_tokens_saved": 5.0,
        },
        "seconds": {"stim": 0.5, "rollout": 1.5, "bake": 3.25},
        "versions": {"bakery": "0.1.0", "python": "3.11"},
        "training": {"epochs": plan.bake.training.epochs, "learning_rate": 1e-3, "r": 16},
        "notes": ["1 answer was cut: it had no end"],
        "started": "2030-01-01T00:00:00+00:00",
        "finished": "2030-01-01T00:00:05+00:00",
    }


def stored(repo: ModelRepo, plan: Plan) -> Mapping[str, Any]:
    """Put a finished bake into the store, as the bake stage does; return its result."""
    result = result_of(plan)
    folder = repo.store.bake(result["bake_id"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.yml").write_bytes((repo.root / "input.yml").read_bytes())
    (folder / "bake.json").write_text(json.dumps(result), encoding="utf-8")
    (folder / "done.json").write_text('{"schema": 1}\n', encoding="utf-8")
    return result


def baked(repo: ModelRepo, name: str, teacher: str = "") -> ModelRef:
    """Configure, commit, bake and record; return the model."""
    plan = committed(repo, name, teacher)
    result = stored(repo, plan)
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    return plan.model_ref(STEP)


def forked(repo: ModelRepo, *, on: str = "main") -> None:
    """Bake one and two on main, three and four on exp from after one; stand on a branch."""
    baked(repo, "one")
    git(repo.root, "branch", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "exp")
    baked(repo, "three")
    baked(repo, "four")
    git(repo.root, "switch", "-q", on)


def names(repo: ModelRepo) -> list[str]:
    """Return the names of the bakes in the recipe, in its order."""
    return [bake.base_name for bake in repo.bakes()]


def current(repo: ModelRepo) -> str:
    """Return the name of the current model's bake, or `base`."""
    parent = repo.state().parent
    return parent.bake[:-17] if parent else "base"


def subjects(repo: ModelRepo) -> list[str]:
    """Return the subjects of the branch's commits, newest first."""
    return git(repo.root, "log", "--format=%s").splitlines()


def hook(repo: ModelRepo, name: str, script: str) -> Path:
    """Write a hook of git, and return its path."""
    path = repo.git.common_dir / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _target(share: Any) -> dict[str, Any]:
    return {
        "name": share.name,
        "id": share.id,
        "stim_id": share.id[::-1],
        "weight": share.weight,
        "stimuli": 2,
        "trajectories": 8,
        "writers": {"input.yml": 2},
        "stimuli_digest": "1" * 64,
        "trajectories_digest": "2" * 64,
        "teacher": share.teacher.as_data(),
        "student": share.student.as_data(),
    }


def planned(repo: ModelRepo, text: str) -> Plan:
    """Write an input.yml; return what it plans."""
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    return repo.plan("worktree")
