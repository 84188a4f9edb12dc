"""Runs that go on without a terminal: launched, taking turns, stopped, fetched.

The process that launches checks all that can be checked at once; the job's own process reads
nothing but the commit it was launched from, and records nothing: `fetch` does, on its branch.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakery.app import foreseen, own_gate, run, spread, turns
from bakery.app.recorder import Recorder
from bakery.app.run import RunReport
from bakery.app.workbench import InRepository
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError, StageError
from bakery.records import ModelRef
from bakery.repo.commits import checks
from bakery.repo.files.names import INPUT, RECIPE
from bakery.repo.git import Git
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Reporter
from bakery.store import job, results
from bakery.store.job import Fetched, Job, Progress
from bakery.store.processes import ProcessId
from bakery.store.store import Store
from bakery.torchrun.asked import UNSAID, Processes

START_S = 120.0
"""How long a new process may take until it says that it is there."""

LAUNCH_S = 30.0
"""How long another launch may take to look around."""

POLL_S = 0.1

PROGRAM = (sys.executable, "-P", "-m", "bakery.cli.worker")
"""What does a job, given the store and its id. `-P`: nothing that lies in the folder of a
repository is taken for a module."""

Show = Callable[[RunReport], None]

GRACE_S = (30.0, 5.0, 5.0)
"""How long a job may take to end after Ctrl-C, after being told to end, after being killed."""


def launch(
    repo: ModelRepo,
    stages: Sequence[str],
    *,
    force: bool,
    at_once: bool,
    allow: Sequence[str] = (),
    processes: Processes = UNSAID,
    on: str | None = None,
    reporter: Reporter,
) -> Job:
    """Start a run in a process of its own, and return its job once that process is up.

    All that can be refused without loading a model is refused here. A run that is under way is
    not started twice.
    """
    run.check_where(stages, processes, on)
    plan = _checked(repo, stages, processes, allow, reporter)
    made = plan.bake_name if "bake" in stages else None
    new = Job(
        job.new_id(repo.store),
        str(repo.git.common_dir),
        str(repo.root),
        checks.can_commit(repo.git),
        repo.git.run("rev-parse", "HEAD"),
        repo.launch_blob(),
        tuple(stages),
        (made,) if made else tuple(target.name for target in plan.targets),
        force=force,
        at_once=at_once,
        allow=tuple(allow),
        nproc=processes.here,
        shard=processes.sharded,
        on=on,
        backend=repo.backend,
        process=ProcessId.own(),  # until it has one of its own
        created=job.now(),
    )
    with repo.store.lock(repo.store.root / "launch", "bgit run --detach", wait_s=LAUNCH_S):
        for other in job.listed(repo.store, repository=repo.git.common_dir, note=reporter.note):
            if other.is_live and _same(other, new):
                reporter.note("this same run is already under way")
                return other
            if _bakes_on(other, new.branch) and made:
                reporter.note(
                    f"job {other.id} of this branch is not recorded yet: this one starts from "
                    f"{plan.head.parent or plan.head.base.name}, not from what that one makes. "
                    "To bake on top of it, `bgit fetch` first"
                )
        new.write(repo.store)
    return _start(repo, new)


def _checked(
    repo: ModelRepo,
    stages: Sequence[str],
    processes: Processes,
    allow: Sequence[str],
    reporter: Reporter,
) -> Plan:
    """Return the plan of a run that nothing known now would stop."""
    plan = run.planned(repo, stages)
    if plan.is_empty:
        hint = "Write or uncomment what to bake, then `bgit add input.yml` and `bgit commit`."
        raise ConfigError("input.yml configures nothing: there is nothing to run", hint=hint)
    for warning in plan.warnings:
        reporter.note(warning)
    repo.check_can_record(plan)
    run.check(repo, plan, stages, reporter=reporter)
    if "bake" in stages:
        spread.check(processes, plan.bake)
        foreseen.check_epochs(repo, plan)
        own_gate.check(repo, own_gate.read(repo, reporter), plan, allow, reporter)
    return plan


def _same(one: Job, other: Job) -> bool:
    def what(job: Job) -> tuple[Any, ...]:
        return (job.branch, job.commit, job.stages, job.force, job.allow, job.backend)

    return what(one) == what(other)


def _bakes_on(other: Job, branch: str) -> bool:
    """Tell whether a job makes, or made, a model that will be recorded on a branch."""
    coming = other.is_to_be_recorded or (other.is_live and "bake" in other.stages)
    return coming and other.branch == branch


def _start(repo: ModelRepo, new: Job) -> Job:
    """Start the process of a job, and wait until it has taken the job over."""
    store, path = repo.store, job.record_path(repo.store, new.id)
    log = job.log_path(store, new.id)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*PROGRAM, str(store.root), new.id],
            cwd=repo.root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "BGIT_STORE": str(store.root), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # neither Ctrl-C nor the end of the terminal reaches it
        )
    end = time.monotonic() + START_S
    while (now := job.read(path)).process == new.process:
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            process.wait()
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            error = f"the job's process did not start: {said.splitlines()[-1] if said else '?'}"
            replace(now, state="failed", ended=job.now(), error=error).write(store)
            raise StageError(error, hint=f"All it said is in {log}.")
        time.sleep(0.01)
    # A server or a notebook lives on: the job's process is waited for, so that none stays undead.
    threading.Thread(target=process.wait, name=f"job {new.id}", daemon=True).start()
    return now


def work(store: Store, job_id: str, shown: Reporter, show: Show) -> None:
    """Do a job in this process, and write down how it ends; `show` what a gate holds back."""
    with job.alive(store, job_id):
        _work(store, job.read(job.record_path(store, job_id)), shown, show)


def _work(store: Store, read: Job, shown: Reporter, show: Show) -> None:
    if _is_cancelled(store, read):
        return
    recorder = Recorder(store, replace(read, process=ProcessId.own()).write(store), shown)
    try:
        with turns.taken(store, recorder.job, recorder):
            if _is_cancelled(store, read):
                raise KeyboardInterrupt
            recorder.write(state="running", began=job.now())
            now = recorder.job
            repo = ModelRepo(_git(now), at=now.commit, backend=now.backend)
            repo.root = Path(now.worktree)  # where `./folder` of its input.yml is
            plan = _planned(repo, now)
            report = run.make(
                InRepository(repo, now.input_blob if "bake" in now.stages else ""),
                plan,
                now.stages,
                force=now.force,
                allow=now.allow,
                processes=Processes(here=now.nproc, number=0, sharded=now.shard),
                on=now.on,
                holder=f", job {now.id}",
                reporter=recorder,
            )
            _ask_gate(repo, now, plan, report, recorder, show)
        recorder.end(
            "complete",
            stimuli=report.stimuli,
            trajectories=report.trajectories,
            model=str(report.model) if report.model else None,
        )
    except BakeryError as error:
        recorder.end("failed", error=error.message, hint=error.hint or "")
        raise
    except KeyboardInterrupt:
        if _is_cancelled(store, read):
            recorder.end("cancelled")
        else:
            recorder.end("interrupted", error=job.TOLD_TO_END, hint=job.GO_ON)
        raise
    except BaseException as error:
        log = job.log_path(store, read.id)
        recorder.end("failed", error=f"{type(error).__name__}: {error}", hint=f"More is in {log}.")
        raise


def _ask_gate(
    repo: ModelRepo, now: Job, plan: Plan, made: RunReport, recorder: Recorder, show: Show
) -> None:
    """Raise GateError where what a job made is not to be recorded, and show what that is."""
    if made.model is None or made.result is None:
        return
    if not repo.is_recorded(made.model.bake_id, branch=now.branch):
        own = own_gate.committed(repo)
        _, refused = own_gate.asked(
            repo, own, plan, made.result, allow=now.allow, reporter=recorder
        )
        if refused is not None:
            recorder.write(model=str(made.model))  # `bgit fetch` shows its card
            show(replace(made, refused=refused))  # before its end: who follows the log reads it
            raise refused


def _is_cancelled(store: Store, read: Job) -> bool:
    return not read.is_live or job.cancel_path(store, read.id).exists()


def _planned(repo: ModelRepo, now: Job) -> Plan:
    """Return the plan of a job, which has to be the one it was launched with."""
    plan = run.planned(repo, now.stages)
    made = plan.bake_name if "bake" in now.stages else None
    names = (made,) if made else tuple(target.name for target in plan.targets)
    if names != now.names:
        raise RepoError(
            f"{', '.join(now.names)} would be {', '.join(names)} by now: a name in its "
            f"{INPUT} means another model than at its launch",
            hint="Give the model's full name there (`bgit models`), commit, and run it again.",
        )
    return plan


def _git(now: Job) -> Git:
    """Return the repository of a job, as seen from a place that stays while it works.

    A linked worktree may be removed at any time: the main one is taken, or git's own folder.
    """
    common = Path(now.repository)
    for place in (common.parent, Path(now.worktree)):
        with suppress(RepoError):  # git's data lie elsewhere, or the folder is gone
            found = Git.find(place)
            if found.git_dir == found.common_dir == common:
                return found
    return Git(common, common, common)


def cancel(store: Store, wanted: Job) -> Job:
    """End a job, so that its stages keep what they have; return what became of it."""
    process = wanted.process
    if not wanted.is_live or process is None:
        raise RepoError(f"job {wanted.id} is {wanted.state}: there is nothing to stop")
    if not process.is_here:
        raise RepoError(
            f"job {wanted.id} is {process}, not on this machine",
            hint=f"Type `bgit cancel {wanted.id}` there.",
        )
    job.cancel_path(store, wanted.id).touch()
    try:
        process.stop(GRACE_S)
    except PermissionError as error:
        raise RepoError(f"job {wanted.id}: {error}") from error
    now = job.read(job.record_path(store, wanted.id))
    if now.is_live:
        raise RepoError(f"job {now.id} does not end", hint=f"It is {process}.")
    if now.state == "interrupted":  # it had no time for a last word
        now = replace(now, state="cancelled", ended=job.now(), error="", hint="").write(store)
    return now


def fetch(repo: ModelRepo, reporter: Reporter, *, wait: bool = False) -> Fetched:
    """Record what jobs of this branch have made; say how the others are.

    One that cannot be recorded does not hold up the others: it is in `refused`.
    `wait`: not before all of this branch are over.
    """
    branch = checks.can_commit(repo.git)
    if wait:
        _wait(repo, branch, reporter)
    known = job.listed(repo.store, repository=repo.git.common_dir, note=reporter.note)
    mine = [found for found in known if found.branch == branch]
    shown = [found for found in mine if found.is_live or found.is_to_be_recorded]
    if mine and mine[-1] not in shown:
        shown.append(mine[-1])
    results: dict[str, dict[str, Any]] = {}
    refused: dict[str, BakeryError] = {}
    for found in shown:
        if found.is_to_be_recorded:
            try:
                results[found.id] = _record(repo, found, reporter)
            except BakeryError as error:
                refused[found.id] = job.not_recorded(repo.store, found, error)
    ids = {found.id for found in shown}
    now = job.listed(repo.store, repository=repo.git.common_dir)
    others = [found for found in now if found.branch != branch]
    return Fetched(
        branch,
        tuple(found for found in now if found.id in ids),
        results,
        tuple(
            (found, way_to(repo, found))
            for found in others
            if found.is_live or found.is_to_be_recorded
        ),
        refused,
        {f.id: of for f in shown if f.state == "failed" and (of := _held_back(repo.store, f))},
    )


def _held_back(store: Store, found: Job) -> dict[str, Any] | None:
    """Return the bake.json of what fell short of a gate; None: nothing did, or it is gone."""
    path = store.bake(found.bake_id) / results.RESULT if found.bake_id else None
    return results.seen(path) if path else None


def _wait(repo: ModelRepo, branch: str, reporter: Reporter) -> None:
    shown: Progress | None = None
    for found in job.listed(repo.store, repository=repo.git.common_dir):
        path = job.record_path(repo.store, found.id)
        while found.branch == branch and (now := job.peek(path)) and now.is_live:
            if now.progress is not None and now.progress != shown:
                shown = now.progress
                reporter.progress(shown.step, shown.done, shown.total, shown.detail)
            time.sleep(POLL_S)


def _record(repo: ModelRepo, done: Job, reporter: Reporter) -> dict[str, Any]:
    """Record a job's bake on its branch, the current one; return its bake.json."""
    model = ModelRef.parse(str(done.model))
    folder = repo.store.bake(model.bake_id)
    try:
        result = results.checked_result(folder)
    except OSError as error:
        raise ModelError(f"the bake in {folder} cannot be read: {error}") from error
    if repo.is_recorded(model.bake_id):
        made = repo.git.run(
            "log", "-1", "--format=%H", "-S", f">>> bake {model.bake_id}", "--", RECIPE
        )
        job.mark_recorded(
            repo.store, repo.git.common_dir, done.branch, model.bake_id, made, note=reporter.note
        )
        run.compare(repo, model, result, reporter)
    else:
        repo.record_model(model, result, done.input_blob, done.branch, reporter)
    return result


def way_to(repo: ModelRepo, other: Job) -> str:
    """Return the command that goes to the branch of a job."""
    wanted, branch = f"refs/heads/{other.branch}", shlex.quote(other.branch)
    for row in repo.git.run("for-each-ref", "--format=%(refname) %(worktreepath)", wanted).split(
        "\n"
    ):
        name, _, worktree = row.partition(" ")
        if name == wanted:
            return f"cd {shlex.quote(worktree)}" if worktree else f"bgit switch {branch}"
    return f"bgit switch -c {branch} {other.commit[:10]}"
