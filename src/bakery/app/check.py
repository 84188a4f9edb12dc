"""Is input.yml right, and what would a run of it make and take?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import foreseen, own_gate, run, spread, student, writers
from bakery.app.gates import beyond
from bakery.app.opening import Models
from bakery.app.workbench import InRepository
from bakery.errors import BakeryError, ConfigError, ModelError
from bakery.plain import plain
from bakery.repo.files.names import INPUT
from bakery.repo.git import plain_path
from bakery.repo.look import tests
from bakery.repo.look.check import forecast
from bakery.repo.look.forecasts import Forecast, TargetForecast
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet, Reporter
from bakery.settings import prefix
from bakery.store import results
from bakery.torchrun.asked import UNSAID, Processes

if TYPE_CHECKING:
    from bakery.evals.conflict import Conflict
    from bakery.repo.plan.planned import Plan
    from bakery.stages.look import Look


class CheckError(BakeryError):
    """A file that would not run: like every check, it fails with 1."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file would make and take, or why it cannot run."""

    source: str
    forecast: Forecast | None
    """None: it cannot run (see `error`)."""
    error: CheckError | None = None
    looks: tuple[Look, ...] | None = None
    """Three answers of each target's parent. None: nobody looked."""
    others: tuple[str, ...] = ()
    """Where that was not done, and why."""
    conflicts: tuple[Conflict, ...] = ()
    """Earlier targets of the mix that contradict the new prompt."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit check --json` prints."""
        found = self.forecast
        if found is None:
            assert self.error is not None  # one of both is there
            problems, hint = self.error.message.split("\n"), self.error.hint
            return {"valid": False, "source": self.source, "problems": problems, "hint": hint}
        data = {"valid": True, "source": self.source} | {
            name: plain(getattr(found, name)) for name in _TOLD
        }
        if self.looks is not None:
            data["looks"] = [plain(look.as_data()) for look in self.looks]
            data["conflicts"] = [plain(one.as_data()) for one in self.conflicts]
        return data


_TOLD = ("repository", "base", "parent", "is_empty", "targets", "bake", "cost", "warnings")


def check(repo: ModelRepo, file: Path | None = None, *, sample: Reporter | None = None) -> Checked:
    """Check a file as if it were this repository's input.yml; None: that one.

    `sample` is told what goes on while the parent answers three questions of each target; None:
    it answers none, and no model is loaded.
    """
    source = INPUT if file is None else str(file)
    try:
        plan = repo.plan("worktree") if file is None else repo.plan_of(_text(file), source)
        found = _forecast(repo, plan)
        if file is None:
            found = replace(found, warnings=(*found.warnings, *_unadded(repo, plan)))
    except ConfigError as error:
        return Checked(source, None, CheckError(error.message, hint=error.hint))
    if sample is None:
        return Checked(source, found)
    looks, others, conflicts, unasked = run.looked_at(repo, plan, sample)
    found = replace(found, warnings=(*found.warnings, *unasked))
    return Checked(source, found, None, tuple(looks), tuple(others), tuple(conflicts))


def dry_run(
    repo: ModelRepo,
    stages: Sequence[str],
    *,
    processes: Processes = UNSAID,
    on: str | None = None,
) -> Checked:
    """Return what a run of what is added would make and take, in one process on this machine.

    Processes and a place that it could not have are refused.
    """
    run.check_where(stages, processes, on)
    plan = run.planned(repo, stages)
    if "bake" in stages:
        spread.check(processes, plan.bake)
    return Checked(INPUT, _forecast(repo, plan))


def _forecast(repo: ModelRepo, plan: Plan) -> Forecast:
    models = Models(InRepository(repo), plan.head.base, plan.head.parent, Quiet())
    _check_answering(repo, plan, models)
    told = Quiet()
    _check_student(repo, plan, models, told)
    asked = writers.asked_for(models, repo.store, plan)
    for one in asked:
        one.refuse()
    real = {(one.target.name, one.source): one.writer for one in asked}
    found = forecast(repo, plan, run.machine(plan), real, dict(foreseen.counted(plan)))
    said = dict.fromkeys(text for one in asked for text in one.warnings())
    unnamed = run.unnamed_end(plan.head.base) if plan.targets else None
    large = map(beyond, plan.targets)
    if plan.bake is not None:
        foreseen.check_epochs(repo, plan)
        for text in _of_this_machine(repo, plan):
            told.note(text)
        own_gate.check(repo, own_gate.read(repo, told), plan, (), told)
    else:
        _read_gate(repo, told)
    warnings = (*found.warnings, *said, *filter(None, (*large, unnamed)), *told.notes)
    return replace(found, warnings=warnings, targets=tuple(_with_own_prompt(found, plan)))


def _of_this_machine(repo: ModelRepo, plan: Plan) -> list[str]:
    """Refuse a bake that needs what is not installed; return what is done differently here."""
    from bakery.engine.training import needs

    assert plan.bake is not None  # or there is nothing that could need it
    is_made = results.is_done(repo.store.bake(plan.bake.id))
    return [] if is_made or plan.head.backend is not None else needs.check(plan.bake.running)


def _read_gate(repo: ModelRepo, reporter: Reporter) -> None:
    """Say of a tests.yml that cannot be read that the next bake would stop at it."""
    try:
        own_gate.committed(repo)
    except ConfigError as error:
        reporter.note(tests.unreadable(error))


def _check_answering(repo: ModelRepo, plan: Plan, models: Models) -> None:
    """Refuse what a run would refuse: an answering model that cannot be reached."""
    for target in plan.targets:
        if not results.is_done(repo.store.target(target.rollout.id)):
            try:
                models.expect(target.rollout)
            except ModelError as error:
                raise ConfigError(error.message, hint=error.hint) from error


def _check_student(repo: ModelRepo, plan: Plan, models: Models, reporter: Reporter) -> None:
    """Refuse a student of other tokens, unless it is there already."""
    if plan.bake is not None and not results.is_done(repo.store.bake(plan.bake.id)):
        try:
            student.check(plan.bake, models, reporter)
        except ModelError as error:
            raise ConfigError(error.message, hint=error.hint) from error


def _with_own_prompt(found: Forecast, plan: Plan) -> Iterator[TargetForecast]:
    """Yield the targets with what the template writes where their student has no system prompt."""
    from bakery.engine.text.template import own_prompt

    own = own_prompt(plan.head.base) if plan.targets else None
    for target, planned in zip(found.targets, plan.targets, strict=True):
        if own is None or any(m["role"] == "system" for m in planned.student.messages):
            yield target
        else:
            yield replace(target, template_prompt=(own.text, own.tokens))


def _text(file: Path) -> str:
    content = prefix.read_bytes(file, at_most=prefix.TEXT_BYTES)
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text", hint="Save it as UTF-8.") from error


def _unadded(repo: ModelRepo, plan: Plan) -> Iterator[str]:
    """Yield a sentence for each file that input.yml names and that a run would not find."""
    if plan.sources:
        for path, how in repo.git.statuses(sorted(set(map(plain_path, plan.sources)))).items():
            if how in ("??", "!!"):
                yield f"{path} is not added yet: `bgit add {shlex.quote(path)}`"
