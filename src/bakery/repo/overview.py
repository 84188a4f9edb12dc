"""Everything `bgit status` says, gathered in a few calls of git and without tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bakery.errors import BakeryError, ConfigError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.checks import BREAD, INPUT, RECIPE
from bakery.repo.emptied import has_active_lines
from bakery.repo.journal import Journal
from bakery.repo.model_repo import ModelRepo
from bakery.repo.recipe import RecordedBake

if TYPE_CHECKING:
    from bakery.repo.plan import Plan

Progress = Literal["not_started", "partial", "complete"]


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage of the configured plan is."""

    stage: Literal["stim", "rollout", "bake"]
    name: str
    """What the stage makes: a set of questions, a target, a bake."""
    state: Progress
    done: int
    """Questions, answers or optimiser steps."""
    expected: int | None
    """None: not known before the stage above is complete, or the stage is."""
    seconds: float | None
    """None: not known before the stage is complete."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where a repository stands."""

    repository: str
    root: Path
    branch: str | None
    """None: HEAD is detached."""
    base: BaseModelId
    parent: ModelRef | None
    """The current model; None: the base model."""
    has_weights: bool
    """Whether this clone's store has the current model's weights."""
    chain: tuple[RecordedBake, ...]
    """What the current model was baked from, oldest first."""
    is_configured: bool
    """Whether the input.yml that `bgit run` would read says anything."""
    plan: Plan | None
    """None: nothing is configured, or it cannot be read (see `problem`)."""
    problem: str | None
    """Why the input.yml that `bgit run` would read cannot be; None where it can."""
    draft_problem: str | None
    """Why the input.yml in the folder cannot be read; None where it can, or is the added one."""
    stages: tuple[StageStatus, ...]
    changes: tuple[str, ...]
    """What is not committed of the files that bgit reads, a sentence each."""
    unrecorded: str | None
    """The name of a bake that is done and not recorded; None: there is none."""
    waiting: tuple[str, ...]
    """Branches that an interrupted bake waits to be recorded on."""
    last: RecordedBake | None
    """The bake of the current model, with its losses and card in `data`."""
    store: Path
    store_bytes: int


def status(repo: ModelRepo) -> Status:
    """Gather what there is to know about a repository now."""
    now = repo.state()
    bakes = {bake.id: bake for bake in repo.bakes()}
    chain = _chain(bakes, now.parent)
    configured, plan, problem = _plan(repo)
    stages = _stages(repo, plan) if plan is not None else ()
    statuses = repo.git.statuses([INPUT, BREAD, RECIPE])
    return Status(
        repository=f"{now.owner}/{now.name}",
        root=repo.root,
        branch=repo.git.branch(),
        base=now.base,
        parent=now.parent,
        has_weights=now.parent is None or _has_weights(repo, now.parent),
        chain=chain,
        is_configured=configured,
        plan=plan,
        problem=problem,
        draft_problem=_draft_problem(repo) if statuses.get(INPUT, "  ")[1] != " " else None,
        stages=stages,
        changes=_changes(statuses),
        unrecorded=_unrecorded(stages, plan, bakes),
        waiting=_waiting(repo),
        last=chain[-1] if chain else None,
        store=repo.store.root,
        store_bytes=repo.store.size(),
    )


def _chain(bakes: dict[str, RecordedBake], model: ModelRef | None) -> tuple[RecordedBake, ...]:
    chain: list[RecordedBake] = []
    while model is not None and model.bake_id in bakes:
        bake = bakes.pop(model.bake_id)
        chain.append(bake)
        model = bake.parent
    bakes.update({bake.id: bake for bake in chain})
    return tuple(reversed(chain))


def _plan(repo: ModelRepo) -> tuple[bool, Plan | None, str | None]:
    """Return whether something is configured, its plan, and why there is none."""
    blob = repo.git.blob(f":{INPUT}")
    if blob is None or not has_active_lines(blob.text):
        return False, None, None
    try:
        return True, repo.plan("index"), None
    except ConfigError as error:
        return True, None, _told(error)


def _draft_problem(repo: ModelRepo) -> str | None:
    """Return why the input.yml in the folder cannot be read; None where it can, or is gone."""
    if not (repo.root / INPUT).is_file():
        return None
    try:
        repo.plan("worktree")
    except BakeryError as error:
        return _told(error)
    return None


def _told(error: BakeryError) -> str:
    return f"{error.message}\nhint: {error.hint}" if error.hint else error.message


def _has_weights(repo: ModelRepo, model: ModelRef) -> bool:
    folder = repo.store.bake(model.bake_id) / str(model.step)
    return any(folder.glob("*.safetensors"))


def _stages(repo: ModelRepo, plan: Plan) -> tuple[StageStatus, ...]:
    found: list[StageStatus] = []
    for target in plan.targets:
        stim = repo.store.stim(target.stim.id)
        questions = sum(_asked(generator) for generator in target.stim.generators)
        asked = _stage("stim", target.name, stim, stim / "stimuli.jsonl", questions)
        each = target.rollout.sampling.num_traj_per_stimulus
        folder = repo.store.target(target.rollout.id)
        expected = asked.done * each if asked.state == "complete" else None
        answered = _stage("rollout", target.name, folder, folder / "trajectories.jsonl", expected)
        found += [asked, answered]
    if plan.bake is not None and plan.bake_name is not None:
        folder = repo.store.bake(plan.bake.id)
        found.append(_stage("bake", plan.bake_name, folder, folder / "metrics.jsonl", None))
    return tuple(found)


def _asked(generator: dict[str, Any]) -> int:
    return int(generator.get("numq") or len(generator.get("questions", ())))


def _stage(
    stage: Literal["stim", "rollout", "bake"],
    name: str,
    folder: Path,
    rows: Path,
    expected: int | None,
) -> StageStatus:
    done = _json(folder / "done.json")
    if done is None:
        count = _last_step(rows) if stage == "bake" else _row_count(rows)
        return StageStatus(
            stage, name, "partial" if rows.exists() else "not_started", count, expected, None
        )
    if stage != "bake":
        count = int(done.get("count", 0))
        return StageStatus(stage, name, "complete", count, expected, done.get("seconds"))
    result = _json(folder / "bake.json") or {}
    seconds = result.get("seconds", {}).get("bake")
    step = int(result.get("step", 0))
    return StageStatus(stage, name, "complete", step, step, seconds)


def _json(path: Path) -> dict[str, Any] | None:
    """Return what a file holds; None where it is not there, or not whole yet."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _row_count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _last_step(path: Path) -> int:
    """Return the optimiser step that a training's last whole row is of."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    try:
        return int(json.loads(lines[-1])["step"]) if lines else 0
    except (ValueError, KeyError, TypeError):
        return 0


ADDED = "added, not committed"
_SENTENCES = {
    "?": "not added",
    "!": "ignored by git",
    "M": "changed in the folder, not added",
    "D": "deleted in the folder",
    "U": "in a merge conflict",
}


def _changes(statuses: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{path}: {_SENTENCES.get('U' if xy == 'AA' else xy[1], ADDED)}"
        for path, xy in statuses.items()
    )


def _unrecorded(
    stages: tuple[StageStatus, ...], plan: Plan | None, bakes: dict[str, RecordedBake]
) -> str | None:
    if plan is None or plan.bake is None or plan.bake.id in bakes:
        return None
    done = any(stage.stage == "bake" and stage.state == "complete" for stage in stages)
    return plan.bake_name if done else None


def _waiting(repo: ModelRepo) -> tuple[str, ...]:
    branches: list[str] = []
    for path in repo.store.journals():
        try:
            journal = Journal.read(path)
        except BakeryError:
            continue
        if journal.repository == str(repo.git.common_dir):
            branches.append(journal.branch)
    return tuple(branches)
