"""The only place where repository and stages meet: plan, do, record."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import conflicts, foreseen, looking, own_gate, spread, writers
from bakery.app.gates import WAIVERS as WAIVERS
from bakery.app.making import Making
from bakery.app.opening import Models
from bakery.app.workbench import InRepository, Workbench
from bakery.card import Card
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, GateError
from bakery.identity import BaseModelId
from bakery.plain import plain
from bakery.pool import addresses
from bakery.records import ModelRef
from bakery.repo.look.estimates import Machine
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Reporter
from bakery.store import results
from bakery.torchrun import asked
from bakery.torchrun.asked import ONE, UNSAID, Processes

if TYPE_CHECKING:
    from bakery.evals.conflict import Conflict
    from bakery.stages.look import Look

STAGES = ("stim", "rollout", "bake")


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run found or made. `result` is bake.json where a bake was asked for."""

    plan: Plan
    stimuli: int | None = None
    trajectories: int | None = None
    model: ModelRef | None = None
    commit: str | None = None
    result: dict[str, Any] | None = None
    looks: tuple[Look, ...] = ()
    """What was seen of targets that were yet to be answered."""
    conflicts: tuple[Conflict, ...] = ()
    """Earlier targets of the mix that contradict the new prompt."""
    is_current: bool = False
    """Whether the model is the current one now."""
    helped: bool = False
    """Whether this machine trained along with the one that keeps and records the bake."""
    refused: GateError | None = None
    """Why what was made is not recorded; None: it is, or there was nothing to record."""

    @property
    def card(self) -> Card | None:
        """How near the model is to the prompted one; None: no bake was asked for."""
        return Card.from_data(self.result["card"]) if self.result else None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit run --json` prints."""
        plan, result = self.plan, self.result or {}
        data = {
            "base": plan.head.base.name,
            "parent": plan.head.parent,
            "targets": [
                {"name": target.name, "stim_id": target.stim.id, "target_id": target.rollout.id}
                for target in plan.targets
            ],
            "bake": plan.bake_name,
            "bake_id": plan.bake.id if plan.bake else None,
            "warnings": plan.warnings,
            "looks": [look.as_data() for look in self.looks],
            "conflicts": [one.as_data() for one in self.conflicts],
            "stimuli": self.stimuli,
            "trajectories": self.trajectories,
            "model": self.model,
            "is_current": self.is_current,
            "helped": self.helped,
            "commit": self.commit,
            "refused": self.refused.message if self.refused else None,
            **{key: result.get(key) for key in ("digest", "loss", "card", "seconds", "notes")},
        }
        return {key: plain(value) for key, value in data.items()}


def base_model(reference: str, revision: str = "") -> BaseModelId:
    """Return the identity of a base model, for a new repository; `ID@REVISION` names both."""
    from bakery.engine.bases import bases

    name, named = bases.split(reference)
    if named and revision and named != revision:
        raise ConfigError(f"two revisions are given: {named} and {revision}")
    return bases.identify(name, named or revision)


def coming(base: BaseModelId) -> str | None:
    """Return what the first use of a base will make of it; None: it is used as it is."""
    from bakery.engine.bases import bases

    return bases.coming(base)


def unnamed_end(base: BaseModelId) -> str | None:
    """Return a sentence where a base's template ends turns with what nothing names as an end."""
    from bakery.engine.text import template

    return template.unnamed_end(base)


def run(
    repo: ModelRepo,
    stages: Sequence[str] = STAGES,
    *,
    force: bool = False,
    wait: bool = True,
    allow: Collection[str] = (),
    processes: Processes = UNSAID,
    on: str | None = None,
    reporter: Reporter,
) -> RunReport:
    """Run stages in their order; what exists is kept, what is missing is made.

    A bake that falls short of the gate is not recorded: the report has the error to raise.

    `force` makes the bake again, and refuses a result that is not the recorded one. `wait` for
    whoever is making the same; else BusyError says who. `allow` names the `WAIVERS`. The bake is
    trained in so many `processes`; a machine that is not their first makes and records nothing.
    `on` says where questions and answers are made; None: in this process.
    """
    processes = asked.checked(processes)
    check_where(stages, processes, on)
    plan = planned(repo, stages)
    if plan.is_empty:
        return RunReport(plan)
    if "bake" in stages:
        spread.check(processes, plan.bake)
    for warning in plan.warnings:
        reporter.note(warning)
    launched, source, own = "", repo, None
    if not processes.is_first:
        return _help(repo, plan, processes, reporter)
    if "bake" in stages:
        repo.check_can_record(plan)
        foreseen.check_epochs(repo, plan)
        own = own_gate.read(repo, reporter)
        own_gate.check(repo, own, plan, allow, reporter)
        launched = repo.launch_blob()
        # Whatever is edited, added or switched while it runs.
        source = ModelRepo(repo.git, at=repo.git.head(), backend=repo.backend)
    bench = InRepository(source, launched)
    made = make(
        bench, plan, stages, force=force, wait=wait, allow=allow, processes=processes,
        on=on, reporter=reporter,
    )  # fmt: skip
    if made.model is None or made.result is None:
        return made
    # Another branch may be checked out by now, and have the bake.
    if repo.is_recorded(made.model.bake_id, branch=repo.launch_branch):
        compare(repo, made.model, made.result, reporter, branch=repo.launch_branch)
        commit = None
    else:
        result, refused = own_gate.asked(
            source, own, plan, made.result, allow=allow, reporter=reporter
        )
        if refused is not None:
            return replace(made, refused=refused)
        made = replace(made, result=result)
        commit = repo.record(plan, result, launched=launched, reporter=reporter)
    return replace(made, commit=commit, is_current=repo.state().parent == made.model)


def _help(repo: ModelRepo, plan: Plan, processes: Processes, reporter: Reporter) -> RunReport:
    """Train along with the machine that keeps the bake: nothing is made or recorded here."""
    request = plan.bake
    if request is None:
        raise ConfigError("no BAKE is configured: there is nothing to train along with")
    if results.is_done(repo.store.bake(request.id)):
        reporter.note(f"{plan.bake_name} is in this store already: nobody waits for this machine")
        return RunReport(plan, helped=True)
    from bakery.engine.training import needs

    making = Making(InRepository(repo), plan, reporter)
    making.check_training(request)
    attention = needs.attention(request.running.attn_implementation)
    with tempfile.TemporaryDirectory(prefix="bakery-helps-") as place:
        out = Path(place)
        parent = making.trained_on(request, out, making.parent)
        making.models.let_go()
        given = request, (), out, parent, attention, (), spread.settled(processes, request)
        spread.train(spread.Handed(*given), reporter)
    return RunReport(plan, helped=True)


def asked_again(
    repo: ModelRepo, stages: Sequence[str], *, reporter: Reporter
) -> AbstractContextManager[None]:
    """Put aside what another wrote than was asked for, so that the run within writes it anew."""
    if "stim" not in stages:
        raise ConfigError("--again has questions written anew: it goes with stim")
    plan = planned(repo, stages)
    models = Models(InRepository(repo), plan.head.base, plan.head.parent, reporter)
    return writers.asked_again(repo, models, plan, reporter)


def compare(
    repo: ModelRepo,
    model: ModelRef,
    result: Mapping[str, Any],
    reporter: Reporter,
    *,
    branch: str | None = None,
) -> None:
    """Warn where a branch has recorded a bake with other weights, or stands on another model.

    Its recipe may name other weights than were made here, and .bread another model. `branch` is
    None for the current one.
    """
    recorded = repo.recorded(model.bake_id, branch=branch)
    is_here = branch in (None, repo.git.branch())
    if recorded is not None and is_here and not _leads_to(repo, model):
        reporter.note(
            f"{recorded.model} is recorded here, but not the current model: "
            f"`bgit adopt {recorded.name}`"
        )
    if recorded is not None and recorded.digest != result["digest"]:
        reporter.note(
            f"{recorded.model} is recorded with other weights: {recorded.digest[:16]}, made here "
            f"are {str(result['digest'])[:16]}. `bgit import DIR` takes the recorded ones from the "
            "clone that has them"
        )


def _leads_to(repo: ModelRepo, model: ModelRef) -> bool:
    """Tell whether the current model is a bake's, or was baked on top of it."""
    bakes = {bake.id: bake for bake in repo.bakes()}
    link = repo.state().parent
    while link is not None and link.bake_id != model.bake_id:
        bake = bakes.pop(link.bake_id, None)
        link = bake.parent if bake else None
    return link is not None


def looked_at(
    repo: ModelRepo, plan: Plan, reporter: Reporter
) -> tuple[list[Look], list[str], list[Conflict], list[str]]:
    """Return three answers of each target's parent, and a sentence for each that has none.

    And what of the mix contradicts the new prompts, and what of those nobody asks for. Nothing is
    kept of it, so it may be a plan of a file that is being written.
    """
    bench = InRepository(repo)
    models = Making(bench, plan, reporter).models
    unasked = list(looking.unasked(bench, models, plan))
    return *looking.all_of(bench, models, plan), conflicts.all_of(bench, models, plan), unasked


def planned(repo: ModelRepo, stages: Sequence[str]) -> Plan:
    """Return the plan of a run, in which every stage that is asked for is configured."""
    repo.check_parent()
    repo.check_base()
    plan = repo.plan("index")
    if not plan.is_empty:
        _check_configured(plan, stages)
    elif not repo.plan("worktree").is_empty:
        raise ConfigError(
            "input.yml is written, but not added: there is nothing to run yet",
            hint='`bgit add input.yml`, then `bgit commit -m "<what is baked>"`.',
        )
    return plan


def machine(plan: Plan) -> Machine | None:
    """Return the base of a plan on this machine, for estimates; None: it is not known what it is.

    Measures for a fifth of a second how fast this machine is; no tensor is made.
    """
    from bakery.engine.bases import machine as this

    dtype = plan.bake.training.dtype if plan.bake else defaults_for(plan.head.base).dtype
    shape = this.shape_of(plan.head.base, dtype)
    return None if shape is None else Machine(shape, this.rate())


def check(repo: ModelRepo, plan: Plan, stages: Sequence[str], *, reporter: Reporter) -> None:
    """Refuse missing weights, answers and bases, without loading a model."""
    Making(InRepository(repo), plan, reporter).check_inputs(stages)


def make(
    bench: Workbench,
    plan: Plan,
    stages: Sequence[str] = STAGES,
    *,
    force: bool = False,
    wait: bool = True,
    holder: str = "",
    allow: Collection[str] = (),
    models: Models | None = None,
    processes: Processes = ONE,
    on: str | None = None,
    reporter: Reporter,
) -> RunReport:
    """Do the stages of a plan, without recording anything.

    `holder` says whose locks they are; `models` are those of the run, where some are loaded. `on`
    says where questions and answers are made; None: in this process.
    """
    making = Making(
        bench, plan, reporter, wait=wait, holder=holder, allow=allow, models=models,
        processes=processes,
    )  # fmt: skip
    looks, contradicting = [], []
    with making.models.shared_out(on):
        making.check(stages)
        if "bake" in stages:
            contradicting = conflicts.before_training(bench, making.models, plan, reporter)
            making.models.take_off()
        if "rollout" in stages:
            looks = looking.before_answers(bench, making.models, plan, allow, reporter)
        stimuli = making.stim() if "stim" in stages else None
        trajectories = making.rollout() if "rollout" in stages else None
    if "bake" not in stages:
        return RunReport(plan, stimuli, trajectories, looks=tuple(looks))
    result = making.bake(force=force)
    model = plan.model_ref(result["step"])
    seen = tuple(looks), tuple(contradicting)
    return RunReport(plan, stimuli, trajectories, model, None, result, *seen)


def check_where(stages: Sequence[str], processes: Processes, on: str | None) -> None:
    """Refuse processes and places that the stages cannot be run in, before anything is spent."""
    spread.check_stages(processes, stages)
    if on is None:
        return
    place = addresses.place(on)
    if not {"stim", "rollout"} & set(stages):
        raise ConfigError(
            f"--on {on} shares out questions and answers, and none are asked for",
            hint="It goes with stim and rollout: `bgit run --on …` makes all three stages.",
        )
    addresses.check(place)


def _check_configured(plan: Plan, stages: Sequence[str]) -> None:
    for stage in STAGES:
        if stage in stages and not (plan.bake if stage == "bake" else plan.targets):
            section = "BAKE" if stage == "bake" else "TARGET"
            if stage != "bake" and plan.bake is not None:
                continue  # a bake over earlier targets: their rows exist already
            hint = f"Uncomment or write {section}, then `bgit add input.yml`."
            if stage == "bake" and len(stages) > 1:
                hint += " The other stages alone: `bgit run stim rollout`."
            raise ConfigError(
                f"input.yml has no {section} section, so there is no {stage} to run", hint=hint
            )
