"""Earlier targets of a mix that the new prompt contradicts: told before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bakery.app.opening import Models
from bakery.app.workbench import Workbench
from bakery.records import Stimulus, Trajectory, given_name
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.reporting import Reporter
from bakery.shares import TargetShare
from bakery.store import results

if TYPE_CHECKING:
    from bakery.evals.conflict import Conflict

ASKED, MOST_TOKENS = 8, 32
"""Questions of an earlier target that are asked again, and tokens of each answer."""


def before_training(
    bench: Workbench, models: Models, plan: Plan, reporter: Reporter
) -> list[Conflict]:
    """Compare, where a bake is yet to be made, and report what contradicts."""
    if plan.bake is None or results.is_done(bench.store.bake(plan.bake.id)):
        return []
    found = all_of(bench, models, plan)
    for one in found:
        reporter.note(f"warning: {one.warning}")
    return found


def all_of(bench: Workbench, models: Models, plan: Plan) -> list[Conflict]:
    """Return the earlier targets of a plan's mix that its new prompts contradict."""
    return [
        found
        for share, target in _pairs(plan)
        if (found := _compared(bench, models, share, target)) is not None and found.is_one
    ]


def _pairs(plan: Plan) -> Iterator[tuple[TargetShare, PlannedTarget]]:
    """Yield what is learnt for the same requests by two prompts, an earlier one and a new one."""
    own = {target.rollout.id: target for target in plan.targets}
    for share in plan.bake.shares if plan.bake else ():
        if share.id in own or share.teacher == share.student:
            continue
        for target in own.values():
            if target.stim.variables:  # each row has another prompt: none to ask with
                continue
            if target.student == share.student and target.stim.teacher not in (
                share.teacher,
                target.student,
            ):
                yield share, target


def _compared(
    bench: Workbench, models: Models, share: TargetShare, target: PlannedTarget
) -> Conflict | None:
    kept = _kept(bench, share)
    if not kept or not models.is_parent(target.rollout.parent) or target.rollout.model is not None:
        return None
    from bakery.backends.base import AnswerRequest
    from bakery.evals import conflict

    most = min(MOST_TOKENS, target.rollout.sampling.max_tokens)
    settings = replace(
        target.rollout.sampling, num_traj_per_stimulus=1, max_tokens=most, temperature=0.0
    )
    return conflict.compare(
        models.teacher(),
        (given_name(share.name), target.base_name),
        [(AnswerRequest(one.id, one.messages), row) for one, row in kept],
        (target.stim.teacher, target.student),
        settings,
    )


def _kept(bench: Workbench, share: TargetShare) -> list[tuple[Stimulus, Trajectory]]:
    """Return some questions of an earlier target with their answers, what a person wrote first."""
    folder = bench.store.target(share.id)
    done = results.done(folder)
    if done is None or "backend" in done:
        return []
    rows = {
        row.stimulus_id: row for row in reversed(results.trajectories(folder)) if row.response_ids
    }
    asked = results.stimuli(bench.store.stim(str(done["stim_id"])))
    asked.sort(key=lambda one: not one.is_written_out)
    return [(one, rows[one.id]) for one in asked if one.id in rows][:ASKED]
