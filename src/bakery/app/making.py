"""The stages of one plan, done in this process: what is there is kept, what is missing is made.

Heavy modules are imported by the stage that needs them, so that a command that finds nothing
to do starts no tensor library.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bakery.app import compressing, gates, spread, student, writers
from bakery.app.opening import Models
from bakery.app.workbench import Workbench
from bakery.card import Card
from bakery.errors import ConfigError, ModelError, StageError
from bakery.identity import BakeRequest, RolloutRequest, StimRequest
from bakery.records import FAKE, write_atomic
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.reporting import Reporter
from bakery.shares import REPLAY, TargetShare
from bakery.store import results
from bakery.torchrun import environment
from bakery.torchrun.asked import ONE, Processes

_SHORTEST = {"role": "user", "content": "?"}
ANSWERED_BY = "answered_by.json"
"""Beside answers: the content of the folder whose model gave them."""


class Making:
    """One run: holds the model that its stages share."""

    def __init__(
        self,
        bench: Workbench,
        plan: Plan,
        reporter: Reporter,
        *,
        wait: bool = True,
        holder: str = "",
        offline: bool = False,
        allow: Collection[str] = (),
        models: Models | None = None,
        processes: Processes = ONE,
    ) -> None:
        """`offline`: no endpoint writes questions, whatever its key is; `allow` names waivers.

        `models`: those of the run, where some are loaded already. `processes` train.
        """
        self._processes = processes
        self.bench, self.plan, self.reporter = bench, plan, reporter
        self._wait, self._holder, self._allow = wait, holder, frozenset(allow)
        head = plan.head
        parent = head.parent
        self.models = models or Models(bench, head.base, parent, reporter, offline=offline)
        # Found missing or damaged now, not after an hour of questions.
        self.parent = bench.weights(parent) if parent else None

    def check(self, stages: Sequence[str]) -> None:
        """Refuse a base or a prompt that a later stage would stumble over, before the first."""
        missing = self.check_inputs(stages)
        if {"stim", "rollout"} & set(missing):
            gates.check_limits(self.plan.targets, self._allow)
            self.models.join()
        tools = any(t.rollout.teacher.tools or t.student.tools for t in self.plan.targets)
        if not {"rollout", "bake"} & set(missing) and not (missing and tools):
            return
        for target in self.plan.targets:
            if target.rollout.model == FAKE and "bake" not in missing:
                continue  # no model reads its prompts
            check_prompts(self.models, target, self.reporter)

    def check_inputs(self, stages: Sequence[str]) -> list[str]:
        """Refuse what a stage would not find; return the stages that have something to do."""
        plan, store = self.plan, self.bench.store
        folders = {
            "stim": [store.stim(target.stim.id) for target in plan.targets],
            "rollout": [store.target(target.rollout.id) for target in plan.targets],
            "bake": [store.bake(plan.bake.id)] if plan.bake else [],
        }
        missing = [
            stage for stage in stages if any(results.done(f) is None for f in folders[stage])
        ]
        for asked in writers.asked_for(self.models, store, plan):
            asked.refuse()
            for said in asked.warnings() if asked.in_place else ():
                self.reporter.note(said)
        if missing:
            self.models.check_base()
        for target in plan.targets if "rollout" in missing else ():
            self.models.expect(target.rollout)
        if "bake" in missing and plan.bake is not None:
            coming = {t.rollout.id for t in plan.targets} if "rollout" in stages else set()
            for share in plan.bake.shares:
                if share.id not in coming:
                    self._answered(share)
            self.check_training(plan.bake)
        return missing

    def check_training(self, request: BakeRequest) -> None:
        """Refuse what training would stumble over, before an hour of questions."""
        from bakery.engine.training import needs

        student.check(request, self.models, self.reporter)
        for note in needs.check(request.running):
            self.reporter.note(note)

    def _locked(self, folder: Path, stage: str) -> AbstractContextManager[None]:
        """Hold a folder; who waited finds in it what the other has made."""
        return self.bench.store.lock(
            folder,
            f"bgit run {stage}{self._holder}",
            wait_s=-1 if self._wait else 0,
            announce=self.reporter.note,
        )

    def stim(self) -> int | None:
        """Write the questions of every target; return how many there are."""
        counts = []
        for target in self.plan.targets:
            counts.append(self._stim(target.stim))
            self._check_questions(target.rollout)
        return sum(counts) if counts else None

    def _stim(self, request: StimRequest) -> int:
        folder = self.bench.store.stim(request.id)

        def write() -> int:
            from bakery.stages import stim

            return stim.run(
                request,
                folder,
                open_writer=self.models.writer,
                reporter=self.reporter,
                read=self.bench.reader("index"),
                allow_poor=gates.QUESTIONS in self._allow,
            )

        return self._once(folder, "stim", write)

    def _check_questions(self, request: RolloutRequest) -> None:
        """Refuse poor questions that nobody has answered yet, unless they are allowed."""
        if results.done(self.bench.store.target(request.id)) is None:
            asked = results.done(self.bench.store.stim(request.stim_id))
            gates.check_questions(asked, self._allow)

    def rollout(self) -> int | None:
        """Have the teacher answer the questions of every target; return how many answers."""
        counts = [self._rollout(target.rollout) for target in self.plan.targets]
        return sum(counts) if counts else None

    def _rollout(self, request: RolloutRequest) -> int:
        folder = self.bench.store.target(request.id)
        self._check_answering(request, folder)
        self._check_questions(request)

        def answer() -> int:
            from bakery.stages import rollout

            return rollout.run(
                request,
                self.bench.store.stim(request.stim_id),
                folder,
                sampler=self.models.sampler(request),
                reporter=self.reporter,
            )

        return self._once(folder, "rollout", answer)

    def _check_answering(self, request: RolloutRequest, folder: Path) -> None:
        """Refuse to go on with the answers of a folder's model that is another one by now.

        The id of a target has the name of its model, which for a folder says nothing of what is
        in it.
        """
        now = self.models.content(request.model) if request.model is not None else None
        if now is None:
            return
        kept = folder / ANSWERED_BY
        if not kept.is_file():
            write_atomic(kept, json.dumps({"schema": 1, "digest": now}) + "\n")
        elif (then := results.whole(kept).get("digest")) != now:
            raise ModelError(
                f"{request.model} has changed since it answered: its digest is {now[:16]}, "
                f"and was {str(then)[:16]}",
                hint=f"Delete {folder} to have it answer anew, or restore the model as it was.",
            )

    def _once(self, folder: Path, stage: str, make: Callable[[], int]) -> int:
        """Make what a folder holds, where no run has; return how many rows that is."""
        if (done := results.done(folder)) is None:
            with self._locked(folder, stage):
                if (done := results.done(folder)) is None:
                    return make()
        results.freshen(folder)
        count: int = done["count"]
        return count

    def bake(self, *, force: bool) -> dict[str, Any]:
        """Train the adapter, or return what an earlier run made."""
        request = self.plan.bake
        if request is None:
            raise ConfigError("no BAKE is configured")
        folder = self.bench.store.bake(request.id)
        with self._locked(folder, "bake"):
            before = results.result(folder)
            if before is not None and not force:
                return self._kept(folder)
            with environment.left_out(self.reporter):
                if before is None:
                    return self._train(request, folder)
                return self._train_again(request, folder, before)

    def _train(self, request: BakeRequest, folder: Path) -> dict[str, Any]:
        from bakery.engine.training import needs
        from bakery.stages import bake

        targets = self._targets()
        # Of the blob: the file may hold the next configuration by now.
        if (text := self.bench.input_text()) is not None:
            write_atomic(folder / "input.yml", text)
        # Once more: hours may lie between the first stage and this one.
        speaks = request.parent if request.teacher is None else request.teacher.model
        parent = self.bench.weights(speaks) if speaks else None
        attention = needs.attention(request.running.attn_implementation)
        teacher = None
        if request.teacher is None:
            parent = self.trained_on(request, folder, parent)
        waived = {
            w for t in targets for w in gates.waived(results.done(t.stim_dir), t.target_dir)
        } | ({gates.LIMITS} if any(map(gates.beyond, self.plan.targets)) else set())
        processes = spread.settled(self._processes, request)
        if spread.is_several(processes):
            self.models.let_go()
            given = request, targets, folder, parent, attention, sorted(waived), processes
            return spread.train(spread.Handed(*given), self.reporter)
        if request.teacher is None:
            local = self.models.to_train(
                dtype=request.training.dtype, attention=attention, folder=parent
            )
            base, model = local.base, local.model
        else:
            base, teacher = student.opened(request, self.models, parent, attention=attention)
            model, parent = base.model, None
        return bake.run(
            request,
            targets,
            folder,
            base=base,
            model=model,
            parent=parent,
            teacher=teacher,
            reporter=self.reporter,
            allowed=sorted(waived),
        )

    def trained_on(self, request: BakeRequest, out: Path, parent: Path | None) -> Path | None:
        """Return what a bake is put on: its parent, or what is left of one with many ranks."""
        if request.parent is None or parent is None or request.compressed is None:
            return parent
        self.models.take_off()  # two adapters are compared on the bare base
        asked = self.bench.chain(request.parent)
        return compressing.parent(
            out, request.base, request.parent, parent, asked,
            rank=request.compressed, load=self.models.base, reporter=self.reporter,
        )  # fmt: skip

    def _train_again(
        self, request: BakeRequest, folder: Path, before: dict[str, Any]
    ) -> dict[str, Any]:
        """Bake beside the old result, which is only replaced where no recipe names it."""
        beside = folder.with_name(f"{folder.name}.again")
        result = self._train(request, beside)
        old, new = before["digest"], result["digest"]
        if old == new and _is_whole(folder, request):
            shutil.rmtree(beside)
            self.reporter.note(f"trained again to the same digest, {new[:16]}")
            return self._named(before)
        if old == new:
            self.bench.store.put(beside, folder)
            self.reporter.note(f"trained again to the digest it had, {new[:16]}: repaired")
            return result
        if self.bench.is_recorded(request.id):
            shutil.rmtree(beside)
            raise ModelError(
                f"trained again to another digest: {new[:16]}, recorded is {old[:16]}",
                hint="The recorded weights are kept. Another machine, version or number of "
                "threads rounds differently: bake.json lists what it was made with.",
            )
        self.bench.store.put(beside, folder)
        self.reporter.note(
            f"trained again to another digest: {old[:16]} before, {new[:16]} now; the former "
            f"weights are kept in {self.bench.store.root / 'replaced'}"
        )
        return result

    def _kept(self, folder: Path) -> dict[str, Any]:
        """A bake that is recorded without training must still be the bytes it was."""
        assert self.plan.bake is not None  # or there was no result to keep
        result = _checked(folder, self.plan.bake)
        results.freshen(folder)
        self.reporter.note(
            f"{self.plan.bake_name} is in the store already, digest "
            f"{result['digest'][:16]} checked{self.bench.to_train_again}"
        )
        return self._named(result)

    def _named(self, result: dict[str, Any]) -> dict[str, Any]:
        """Return a result with its targets called what they are called now."""
        assert self.plan.bake is not None  # or there was no result to keep
        now = {share.id: share.name for share in self.plan.bake.shares}
        of = {row["name"]: now.get(row["id"], row["name"]) for row in result["targets"]}
        named = {**result, "targets": [{**r, "name": of[r["name"]]} for r in result["targets"]]}
        named["card"] = Card.from_data(result["card"]).renamed(of).as_data()
        return named

    def _targets(self) -> list[Any]:
        from bakery.stages.parts import TargetData

        data = []
        for share in self.plan.bake.shares if self.plan.bake else ():
            stim_id = self._answered(share)["stim_id"]
            folder = self.bench.store.target(share.id)
            data.append(TargetData(share, self.bench.store.stim(stim_id), folder))
        return data

    def _answered(self, share: TargetShare) -> dict[str, Any]:
        """Return what a target's answers say of themselves; StageError where they are not there."""
        done = results.done(self.bench.store.target(share.id))
        own = share.id in {target.rollout.id for target in self.plan.targets}
        asked = done and (own or results.is_done(self.bench.store.stim(str(done["stim_id"]))))
        if done is None or not asked:
            without = " Without `BAKE.replay` it is not needed." * (share.role == REPLAY)
            raise StageError(
                f"the {'questions' if done else 'answers'} of {share.name} are not complete",
                hint="Run `bgit run stim rollout` first."
                if own
                else "It is an earlier bake's: `bgit import DIR --all` takes its questions and "
                f"answers from another clone.{without}",
            )
        return done


def check_prompts(models: Models, target: PlannedTarget, reporter: Reporter) -> None:
    """Refuse a prompt that is too long, or of which the model would not see everything."""
    from bakery.engine.text.unseen import refuse_unseen, unseen_thoughts

    model = models.bare()
    for kind, prompt in (("teacher", target.rollout.teacher), ("student", target.student)):
        name = f"the {kind} prompt of {target.base_name}"
        model.prefix(prompt, [_SHORTEST], target.rollout.sampling)
        refuse_unseen(model.base.chat, prompt, name=name, base=model.name)
        if hidden := list(unseen_thoughts(model.base.chat, prompt)):
            reporter.note(
                f"the chat template of {model.name} does not show the reasoning_content of "
                f"{', '.join(hidden)} in {name}"
            )


def _checked(folder: Path, request: BakeRequest) -> dict[str, Any]:
    """Return what a finished bake says, whose adapter is what it was."""
    from bakery.engine.models import adapter_check

    result = results.checked_result(folder)
    adapter_check.check(
        folder / str(result["step"]),
        [(request.id, request.training.r)],
        whole=request.parent is None,
        hint="`bgit run bake --force` trains it again.",
    )
    return result


def _is_whole(folder: Path, request: BakeRequest) -> bool:
    """Tell whether a finished bake's adapter is still what it was."""
    try:
        _checked(folder, request)
    except ModelError:
        return False
    return True
