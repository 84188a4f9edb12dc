"""What of a bake cannot be made again: questions and answers of others, which have to be here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bakery.errors import StageError
from bakery.identity import file_digest
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history import replays
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.reporting import Reporter
from bakery.schema.model_names import HOSTED, kind_of
from bakery.store.results import STIMULI, TRAJECTORIES


def check(
    repo: ModelRepo,
    bake: RecordedBake,
    plan: Plan,
    recorded: Mapping[str, Mapping[str, Any]],
    reporter: Reporter,
) -> set[str]:
    """Return the ids of what cannot be made again, and is here; StageError where one is not."""
    fixed: set[str] = set()
    coming = {target.rollout.id for target in plan.targets}
    for target_id, target in recorded.items():
        if target_id not in coming and not is_here(repo, target_id, target):
            raise StageError(
                f"the answers of {target['name']}, an earlier bake's target, are not here",
                hint="`bgit import DIR --all` takes them; `bgit target "
                f"{target['name']}` names the bakes that `bgit reproduce` makes them with.",
            )
    for planned in plan.targets:
        known = recorded.get(planned.rollout.id)
        if known is None:
            continue  # configured, but no part of the mix
        writers = _hosted_writers(repo, planned, known) or _former_writers(plan, bake, known)
        answering = planned.rollout.model or ""
        if writers:
            _need(are_questions_here(repo, known), known["name"], "questions", writers)
            fixed.add(planned.stim.id)
            reporter.note(f"the questions of {known['name']} are the stored ones, by {writers}")
        if answering.startswith(HOSTED):
            served = answering.removeprefix(HOSTED)
            _need(is_here(repo, planned.rollout.id, known), known["name"], "answers", served)
            fixed |= {planned.stim.id, planned.rollout.id}
            reporter.note(f"the answers of {known['name']} are the stored ones, by {served}")
    return fixed


def _need(is_here: bool, name: str, what: str, who: str) -> None:
    if not is_here:
        raise StageError(
            f"the {what} of {name} are by {who}, which cannot be made to say the same again",
            hint=f"`bgit import DIR` takes the recorded {what} from another clone.",
        )


def _hosted_writers(repo: ModelRepo, planned: PlannedTarget, recorded: Mapping[str, Any]) -> str:
    """Return who of the recorded writers was an endpoint's model; "" where none was."""
    named = {str(g["model"]) for g in planned.stim.generators if g.get("model")}
    own = {bake.base_name for bake in repo.lineage().bakes.values()}
    hosted = {
        name.removeprefix(HOSTED)
        for name in named
        if kind_of(name) == "hosted" or (kind_of(name) == "word" and name not in own)
    }
    return ", ".join(sorted(hosted & set(recorded.get("writers", {}))))


def _former_writers(plan: Plan, bake: RecordedBake, recorded: Mapping[str, Any]) -> str:
    """Return who wrote the questions while a replayed bake was on another base; "": nobody did."""
    replay = replays.of(bake)
    former = set(replay.bases if replay else ()) - {plan.head.base.name}
    return ", ".join(sorted(former & set(recorded.get("writers", {}))))


def are_questions_here(repo: ModelRepo, target: Mapping[str, Any]) -> bool:
    """Tell whether the store has the questions that a recipe names."""
    path = repo.store.stim(target["stim_id"]) / STIMULI
    return path.is_file() and file_digest(path) == target["stimuli_digest"]


def is_here(repo: ModelRepo, target_id: str, target: Mapping[str, Any]) -> bool:
    """Tell whether the store has the answers that a recipe names, and their questions."""
    path = repo.store.target(target_id) / TRAJECTORIES
    answered = path.is_file() and file_digest(path) == target["trajectories_digest"]
    return answered and are_questions_here(repo, target)
