"""The only place where repository and stages meet: plan, do, record.

Heavy modules are imported by the stage that needs them, so that a command that finds nothing
to do starts no tensor library.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.errors import ConfigError, ModelError, StageError
from bakery.identity import (
    BakeRequest,
    BaseModelId,
    RolloutRequest,
    StimRequest,
    TargetShare,
)
from bakery.records import ModelRef, write_atomic
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan import Plan, defaults_for
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.backends.base import QuestionWriter
    from bakery.backends.chatting import ChatSession
    from bakery.backends.local import LocalModel

STAGES = ("stim", "rollout", "bake")

_SHORTEST = {"role": "user", "content": "?"}


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run found or made. `result` is bake.json where a bake was asked for."""

    plan: Plan
    stimuli: int | None = None
    trajectories: int | None = None
    model: ModelRef | None = None
    commit: str | None = None
    result: dict[str, Any] | None = None


def base_model(reference: str) -> BaseModelId:
    """Return the identity of a base model, for a new repository."""
    from bakery.engine import bases

    return bases.identify(reference)


def run(
    repo: ModelRepo, stages: Sequence[str] = STAGES, *, force: bool = False, reporter: Reporter
) -> RunReport:
    """Run stages in their order; what exists is kept, what is missing is made.

    `force` makes the bake again, and refuses a result that is not the recorded one.
    """
    plan = repo.plan("index")
    if plan.is_empty:
        if not repo.plan("worktree").is_empty:
            raise ConfigError(
                "input.yml is written, but not added: there is nothing to run yet",
                hint='`bgit add input.yml`, then `bgit commit -m "<what is baked>"`.',
            )
        return RunReport(plan)
    _check_configured(plan, stages)
    launched = ""
    if "bake" in stages:
        repo.check_can_record(plan)
        launched = repo.launch_blob()
    run_ = _Run(repo, plan, launched, reporter)
    run_.check(stages)
    stimuli = run_.stim() if "stim" in stages else None
    trajectories = run_.rollout() if "rollout" in stages else None
    if "bake" not in stages:
        return RunReport(plan, stimuli, trajectories)
    result = run_.bake(force=force)
    model = plan.model_ref(result["step"])
    commit = None
    if not repo.is_recorded(model.bake_id):
        commit = repo.record(plan, result, launched=launched, reporter=reporter)
    return RunReport(plan, stimuli, trajectories, model, commit, result)


def open_chat(repo: ModelRepo | None, name: str, *, reporter: Reporter) -> ChatSession:
    """Load a model by whatever name the repository knows it, or a base by its own."""
    recorded = repo.find_model(name) if repo else None
    base = repo.state().base if repo else base_model(name)
    folder = weights(repo, recorded.model) if repo and recorded else None

    from bakery.backends.chatting import ChatSession
    from bakery.engine import models

    loaded = models.load(base, dtype=defaults_for(base).dtype)
    return ChatSession(_local(loaded, str(recorded.model) if recorded else base.name, folder))


def _local(base: Any, name: str, parent: Path | None = None) -> LocalModel:
    from bakery.backends.local import LocalModel

    return LocalModel(base, name=name, parent=parent)


def _check_configured(plan: Plan, stages: Sequence[str]) -> None:
    for stage in STAGES:
        if stage in stages and not (plan.bake if stage == "bake" else plan.targets):
            section = "BAKE" if stage == "bake" else "TARGET"
            if stage != "bake" and plan.bake is not None:
                continue  # a bake over earlier targets: their rows exist already
            raise ConfigError(
                f"input.yml has no {section} section, so there is no {stage} to run",
                hint=f"Uncomment or write {section}, then `bgit add input.yml`.",
            )


def weights(repo: ModelRepo, model: ModelRef) -> Path:
    """Return the folder of a model's weights, checked against the recipe's digest."""
    from bakery.engine import adapter_folder

    folder = repo.store.bake(model.bake_id) / str(model.step)
    if not (folder / adapter_folder.WEIGHTS).is_file():
        raise ModelError(
            f"the weights of {model} are not in this clone's store ({folder})",
            hint=f"Copy the folder bake/{model.bake_id} into this store from one that has it: "
            "`bgit status` shows where a store is.",
        )
    recorded = repo.find_model(str(model))
    found = adapter_folder.digest(folder)
    if recorded is not None and recorded.digest != found:
        raise ModelError(
            f"the weights of {model} are not the recorded ones: "
            f"recipe.yml says {recorded.digest[:16]}, {folder} holds {found[:16]}",
            hint="The file was changed or damaged: restore it from another clone's store.",
        )
    return folder


class _Run:
    """One `bgit run`: holds the model that its stages share."""

    def __init__(self, repo: ModelRepo, plan: Plan, launched: str, reporter: Reporter) -> None:
        self.repo, self.plan, self.reporter = repo, plan, reporter
        self.launched = launched  # "": no bake is asked for
        self._model: LocalModel | None = None
        self._bare: LocalModel | None = None
        parent = plan.head.parent
        # Found missing or damaged now, not after an hour of questions.
        self.parent = weights(repo, parent) if parent else None

    def check(self, stages: Sequence[str]) -> None:
        """Refuse a base or a prompt that a later stage would stumble over, before the first."""
        from bakery.engine import bases

        plan, store = self.plan, self.repo.store
        folders = {
            "stim": [store.stim(target.stim.id) for target in plan.targets],
            "rollout": [store.target(target.rollout.id) for target in plan.targets],
            "bake": [store.bake(plan.bake.id)] if plan.bake else [],
        }
        missing = [stage for stage in stages if any(_done(f) is None for f in folders[stage])]
        if missing:
            bases.check(plan.head.base)
        if "bake" in missing and plan.bake is not None:
            coming = {t.rollout.id for t in plan.targets} if "rollout" in stages else set()
            for share in plan.bake.shares:
                if share.id not in coming:
                    self._answered(share)
        if "rollout" in missing:
            for target in plan.targets:
                for prompt in (target.rollout.teacher, target.student):
                    self._bare_model().prefix(prompt, [_SHORTEST], target.rollout.sampling)

    def stim(self) -> int | None:
        """Write the questions of every target; return how many there are."""
        counts = [self._stim(target.stim) for target in self.plan.targets]
        return sum(counts) if counts else None

    def _stim(self, request: StimRequest) -> int:
        folder = self.repo.store.stim(request.id)
        if (done := _done(folder)) is not None:
            return int(done["count"])
        from bakery.stages import stim

        with self.repo.store.lock(folder, "bgit run stim"):
            return stim.run(request, folder, open_writer=self._writer, reporter=self.reporter)

    def rollout(self) -> int | None:
        """Have the teacher answer the questions of every target; return how many answers."""
        counts = [self._rollout(target.rollout) for target in self.plan.targets]
        return sum(counts) if counts else None

    def _rollout(self, request: RolloutRequest) -> int:
        folder = self.repo.store.target(request.id)
        if (done := _done(folder)) is not None:
            return int(done["count"])
        from bakery.stages import rollout

        with self.repo.store.lock(folder, "bgit run rollout"):
            return rollout.run(
                request,
                self.repo.store.stim(request.stim_id),
                folder,
                sampler=self._teacher(),
                reporter=self.reporter,
            )

    def bake(self, *, force: bool) -> dict[str, Any]:
        """Train the adapter, or return what an earlier run made."""
        request = self.plan.bake
        if request is None:
            raise ConfigError("no BAKE is configured")
        folder = self.repo.store.bake(request.id)
        with self.repo.store.lock(folder, "bgit run bake"):
            before = _baked(folder)
            if before is None:
                return self._train(request, folder)
            if not force:
                self._check_result(folder, before)
                return before
            return self._train_again(request, folder, before)

    def _train(self, request: BakeRequest, folder: Path) -> dict[str, Any]:
        from bakery.evals.card import card
        from bakery.stages import bake

        targets = self._targets()
        # Of the blob: the file may hold the next configuration by now.
        if (blob := self.repo.git.blob(self.launched)) is not None:
            write_atomic(folder / "input.yml", blob.text)
        return bake.run(
            request,
            targets,
            folder,
            base=self._bare_model().base,
            model=self._teacher().model,
            parent=self.parent,
            grade=card,
            reporter=self.reporter,
        )

    def _train_again(
        self, request: BakeRequest, folder: Path, before: dict[str, Any]
    ) -> dict[str, Any]:
        """Bake beside the old result, which is only replaced where no recipe names it."""
        beside = folder.with_name(f"{folder.name}.again")
        result = self._train(request, beside)
        old, new = before["digest"], result["digest"]
        if old == new:
            shutil.rmtree(beside)
            self.reporter.note(f"trained again to the same digest, {new[:16]}")
            return before
        if request.id in self.repo.lineage().bakes:
            shutil.rmtree(beside)
            raise ModelError(
                f"trained again to another digest: {new[:16]}, recorded is {old[:16]}",
                hint="The recorded weights are kept. Another machine, version or number of "
                "threads rounds differently: bake.json lists what it was made with.",
            )
        shutil.rmtree(folder)
        beside.rename(folder)
        self.reporter.note(f"trained again to another digest: {old[:16]} before, {new[:16]} now")
        return result

    def _check_result(self, folder: Path, result: dict[str, Any]) -> None:
        """A bake that is recorded without training must still be the bytes it was."""
        from bakery.engine import adapter_folder

        found = adapter_folder.digest(folder / str(result["step"]))
        if found != result["digest"]:
            raise ModelError(
                f"the weights in {folder} are not those of bake.json "
                f"({found[:16]}, not {result['digest'][:16]})",
                hint="`bgit run bake --force` trains them again.",
            )
        self.reporter.note(
            f"{self.plan.bake_name} is in the store already, digest "
            f"{found[:16]} checked; `--force` trains it again"
        )

    def _targets(self) -> list[Any]:
        from bakery.stages.mix import TargetData

        data = []
        for share in self.plan.bake.shares if self.plan.bake else ():
            stim_id = self._answered(share)["stim_id"]
            folder = self.repo.store.target(share.id)
            data.append(TargetData(share, self.repo.store.stim(stim_id), folder))
        return data

    def _answered(self, share: TargetShare) -> dict[str, Any]:
        """Return what a target's answers say of themselves; StageError where they are not there."""
        done = _done(self.repo.store.target(share.id))
        if done is None:
            own = share.id in {target.rollout.id for target in self.plan.targets}
            raise StageError(
                f"the answers of {share.name} are not complete",
                hint="Run `bgit run stim rollout` first."
                if own
                else "It is an earlier bake's: copy `stim` and `target` into "
                f"{self.repo.store.root} from the store of a clone that has them.",
            )
        return done

    def _bare_model(self) -> LocalModel:
        if self._bare is None:
            from bakery.engine import models

            base = self.plan.head.base
            self.reporter.note(f"loading {base.name}")
            loaded = models.load(base, dtype=defaults_for(base).dtype)
            self._bare = _local(loaded, base.name)
        return self._bare

    def _teacher(self) -> LocalModel:
        """The parent: the base, or the base with the last bake's adapter."""
        if self._model is None:
            bare = self._bare_model()
            parent = self.plan.head.parent
            self._model = _local(bare.base, str(parent), self.parent) if parent else bare
        return self._model

    def _writer(self, model: str | None) -> tuple[QuestionWriter, str | None]:
        """Questions are written by a hosted model or the base, never by a baked parent."""
        from bakery.backends import hosted, local

        base, instead = self.plan.head.base.name, None
        if model is not None and model != base:
            found = hosted.writer_for(model)
            if not isinstance(found, str):
                return found, None
            instead = f"{model} cannot write the questions: {found}; {base} writes them instead"
        return local.writer_for(self._bare_model()), instead


def _done(folder: Path) -> dict[str, Any] | None:
    """Return what a complete stage folder says of itself, or None."""
    path = folder / "done.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _baked(folder: Path) -> dict[str, Any] | None:
    if _done(folder) is None:
        return None
    result: dict[str, Any] = json.loads((folder / "bake.json").read_text("utf-8"))
    return result
