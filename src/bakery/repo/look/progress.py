"""How far the stages of a plan are, by what lies in the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bakery import json_file
from bakery.records import ModelRef, questions_of
from bakery.store import job, results
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan, PlannedTarget

State = Literal["not_started", "running", "partial", "complete", "failed"]
Stage = Literal["stim", "rollout", "bake"]

_ROWS: Mapping[Stage, str] = {
    "stim": results.STIMULI,
    "rollout": results.TRAJECTORIES,
    "bake": results.METRICS,
}


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage of the configured plan is.

    `partial` was begun and nobody is at it; `failed` is that, where a job of the background says
    why.
    """

    stage: Stage
    name: str
    """What the stage makes: a set of questions, a target, a bake."""
    state: State
    done: int
    """Questions, answers or optimiser steps."""
    expected: int | None
    """None: not known before the stage above is complete, or the stage is."""
    seconds: float | None
    """None: not known before the stage is complete."""
    left_s: float | None = None
    """About how long it still takes. None: nobody is at it, or too little is done to say."""
    loss: float | None = None
    """Of the last step of a training that is under way."""
    error: str | None = None
    """Why it failed."""

    @property
    def percent(self) -> int | None:
        """How much is done. None: it is not known how much there is."""
        if self.state == "complete":
            return 100
        return 100 * self.done // self.expected if self.expected else None


def stages(store: Store, plan: Plan, jobs: Sequence[job.Job] = ()) -> tuple[StageStatus, ...]:
    """Return the stages of a plan; `jobs` are those of its repository."""
    found: list[StageStatus] = []
    for target in plan.targets:
        found += _of_target(store, target)
    if plan.bake is not None and plan.bake_name is not None:
        folder = store.bake(plan.bake.id)
        found.append(_Look(store, "bake", plan.bake_name, folder).of_bake())
    names = {stage.name for stage in found}
    mine = [one for one in jobs if names & set(one.names)]
    return tuple(_with_job(found, mine[-1]) if mine else found)


def _with_job(found: Sequence[StageStatus], last: job.Job) -> Iterator[StageStatus]:
    """Yield the stages with what the latest job says of the one that it is at."""
    at = next((stage for stage in found if stage.state != "complete"), None)
    for stage in found:
        if stage is at and last.state in ("failed", "interrupted") and stage.state != "running":
            yield replace(stage, state="failed", error=last.error or last.state)
        elif stage is at and last.is_live and last.progress and last.progress.step == stage.stage:
            left = last.progress.left_s
            yield replace(stage, state="running", left_s=stage.left_s if left is None else left)
        else:
            yield stage


def _of_target(store: Store, target: PlannedTarget) -> tuple[StageStatus, StageStatus]:
    wanted = [questions_of(generator) for generator in target.stim.generators]
    questions = None if None in wanted else sum(n for n in wanted if n is not None)
    folder = store.stim(target.stim.id)
    stim = _Look(store, "stim", target.name, folder).of_rows(questions)
    each = target.rollout.sampling.num_traj_per_stimulus
    expected = stim.done * each if stim.state == "complete" else None
    folder = store.target(target.rollout.id)
    return stim, _Look(store, "rollout", target.name, folder).of_rows(expected)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the folder of one stage."""

    store: Store
    stage: Stage
    name: str
    folder: Path

    def of_rows(self, expected: int | None) -> StageStatus:
        """Return how far questions or answers are."""
        done = results.seen(self.folder / results.DONE)
        if done is None:
            rows = self.folder / _ROWS[self.stage]
            return self._open(_row_count(rows), expected, begun=rows.exists())
        said, seconds = done.get("count"), done.get("seconds")
        count = said if isinstance(said, int) else 0
        return StageStatus(self.stage, self.name, "complete", count, expected, seconds)

    def of_bake(self) -> StageStatus:
        """Return how far a training is, of the steps that its phases have said they have."""
        if results.seen(self.folder / results.DONE) is not None:
            result = results.seen(self.folder / results.RESULT) or {}
            step = int(result.get("step", 0))
            seconds = result.get("seconds", {}).get("bake")
            return StageStatus(self.stage, self.name, "complete", step, step, seconds)
        rows = self.folder / _ROWS[self.stage]
        last = _last_row(rows)
        step = int(last.get("step") or 0)
        said = results.seen(self.folder / results.STEPS) or {}
        expected = _steps(said, step)
        first, since = said.get("from"), said.get("since")
        at = (first, since) if isinstance(first, int) and isinstance(since, str) else None
        return self._open(step, expected, begun=rows.exists(), loss=last.get("loss"), at=at)

    def _open(
        self,
        done: int,
        expected: int | None,
        *,
        begun: bool,
        loss: float | None = None,
        at: tuple[int, str] | None = None,
    ) -> StageStatus:
        """Return the status of a stage that is not complete.

        `at` is what was done when it went on, and when that was; else it began with its lock.
        """
        state: State = "partial" if begun else "not_started"
        left = None
        if (since := self.store.held_since(self.folder)) is not None:
            first = 0
            if at is not None:
                first, since = at[0], datetime.fromisoformat(at[1])
            state, left = "running", _left(since, done, expected, first)
        return StageStatus(self.stage, self.name, state, done, expected, None, left, loss)


def has_weights(store: Store, model: ModelRef) -> bool:
    """Tell whether a store has the weights of a model."""
    return any((store.bake(model.bake_id) / str(model.step)).glob("*.safetensors"))


def _steps(said: Mapping[str, Any], done: int) -> int | None:
    """Return how many steps a training has, in all phases that are known of."""
    begun, coming = said.get("begun"), said.get("coming")
    if not isinstance(begun, dict) or not isinstance(coming, dict):
        return None
    counts = [*begun.values(), *coming.values()]
    if not all(isinstance(count, int) for count in counts):
        return None
    return max(done, sum(counts)) or None


def _left(since: datetime, done: int, expected: int | None, first: int) -> float | None:
    if done <= first or expected is None:
        return None
    spent = (datetime.now(UTC) - since).total_seconds()
    return max(0.0, spent * (expected - done) / (done - first))


def _row_count(path: Path) -> int:
    try:
        return sum(1 for _ in json_file.lines(path))
    except (OSError, ValueError):
        return 0


def _last_row(path: Path) -> dict[str, Any]:
    """Return the last whole row of a training that has a step."""
    try:
        last = deque(json_file.lines(path), maxlen=1)
        return json_file.as_object(json_file.parse(last[0][1], strict=False)) if last else {}
    except (OSError, ValueError):
        return {}
