"""Runs that go on without a terminal: they outlive it, take turns, and stay what was launched."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bakery.repo.git import Git
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from tests.e2e.conftest import BGIT, Typed, Typist, copied, input_yml
from tests.e2e.test_interrupted import digests, long_input, metrics, trajectories, wait


def launch(typist: Typist, *words: str) -> dict[str, Any]:
    """Start a run in the background; return what it says of itself."""
    started: dict[str, Any] = json.loads(typist.must("run", *words, "--detach", "--json"))
    return started


def state(typist: Typist, job_id: str) -> dict[str, Any]:
    """Return what `bgit jobs` says of a job."""
    (found,) = [j for j in json.loads(typist.must("jobs", "--all", "--json")) if j["id"] == job_id]
    return found


@dataclass(frozen=True)
class Branches:
    """Two branches, each with a run in the background, fetched one after the other."""

    typist: Typist
    first: dict[str, Any]
    second: dict[str, Any]
    """Launched while the first ran."""
    seen: Typed
    """What `jobs` said then."""
    followed: Typed
    elsewhere: Typed
    """`fetch` on a branch that launched neither, when both were complete."""
    heads: tuple[str, str]
    """The tip of main before and after that."""
    there: Typed
    """`fetch` on the branch of the second, while the next configuration was being written."""
    here: Typed
    """`fetch` on main."""


@pytest.fixture(scope="module")
def branches(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Branches:
    typist = copied(new_repository, tmp_path_factory.mktemp("branches") / "demo")
    typist.commit(input_yml())
    first = launch(typist)
    typist.git("switch", "-qc", "quiet")
    typist.commit(input_yml(prompt="Whisper.", bake="second"))
    second = launch(typist, "bake", "rollout", "stim")
    typist.write("BAKE:\n  name: next\n")
    seen = typist("jobs")
    followed = typist("jobs", "--follow", second["id"])
    typist.git("switch", "-qc", "idle")
    before = typist.git("rev-parse", "main")
    elsewhere = typist("fetch")
    heads = (before, typist.git("rev-parse", "main"))
    typist.git("switch", "-q", "quiet")
    there = typist("fetch")
    typist.git("commit", "-qam", "Configure next")
    typist.git("switch", "-q", "main")
    here = typist("fetch")
    return Branches(
        typist,
        state(typist, first["id"]),
        state(typist, second["id"]),
        seen,
        followed,
        elsewhere,
        heads,
        there,
        here,
    )


def test_jobs_of_one_store_take_turns_by_themselves(branches: Branches) -> None:
    assert branches.second["began"] >= branches.first["ended"]
    assert re.search(rf"{branches.second['id']}  queued +quiet", branches.seen.out)
    waited = f"waiting for job {branches.first['id']}, first_"
    assert any(note.startswith(waited) for note in branches.second["notes"])


def test_a_log_can_be_followed_to_the_end(branches: Branches) -> None:
    assert branches.followed.code == 0
    assert "bake: 6/6 in" in branches.followed.out
    assert branches.followed.out.endswith("is complete: `bgit fetch` on quiet records it\n")


def test_what_is_baked_is_what_was_launched(branches: Branches, baked_repository: Typist) -> None:
    of_first = branches.typist.git("show", "main:recipe.yml")
    assert digests(baked_repository)[0] in of_first
    assert "Whisper." in branches.typist.git("show", "quiet:recipe.yml")


def test_the_stages_run_in_their_one_order(branches: Branches) -> None:
    assert branches.second["stages"] == ["stim", "rollout", "bake"]


def test_a_branch_that_launched_nothing_records_nothing(branches: Branches) -> None:
    assert branches.elsewhere.code == 0
    assert "No background run was launched from idle" in branches.elsewhere.out
    assert "main: `bgit switch main`, then `bgit fetch`" in branches.elsewhere.out
    assert branches.heads[0] == branches.heads[1]


def test_each_branch_fetches_its_own_in_one_commit(branches: Branches) -> None:
    assert (branches.here.code, branches.there.code) == (0, 0)
    assert branches.typist.subjects() == ["bake: first", "Configure", "init: demo"]
    assert branches.typist.changes() == ""
    assert branches.typist.parent() == branches.first["model"]
    on_quiet = branches.typist.git("log", "-3", "--format=%s", "quiet").splitlines()
    assert [line.partition(" (KL")[0] for line in on_quiet] == [
        "Configure next",
        "bake: second",
        "Configure",
    ]
    assert branches.second["model"] in branches.typist.git("show", "quiet:.bread")


def test_what_was_written_since_the_launch_is_left_alone(branches: Branches) -> None:
    assert "input.yml is not the one that was baked: it is left as it is" in branches.there.err
    assert branches.typist.git("show", "quiet:input.yml") == "BAKE:\n  name: next"


def test_tree_shows_both(branches: Branches) -> None:
    out = branches.typist.must("tree")
    assert re.search(r"first_\w{16}/6 \*  \[main\]", out)
    assert re.search(r"second_\w{16}/6  \[quiet\]", out)


@dataclass(frozen=True)
class Stopped:
    """A job that was cancelled, one that was killed, and one that went through."""

    typist: Typist
    has_own_session: bool
    cancelled: tuple[Typed, dict[str, Any], bytes]
    """What `cancel` said, what became of the job, and the answers that were there."""
    killed: tuple[dict[str, Any], Typed, bytes]
    """What became of the job, what `fetch` said, and the answers that were there."""
    last: Typed


def when(typist: Typist, met: Callable[[], bool]) -> tuple[str, int]:
    """Launch, and wait until something is so; return the job and its process."""
    job_id = launch(typist)["id"]
    wait(met)
    found = job.read(typist.store / "jobs" / f"{job_id}.json")
    assert found.process is not None
    return job_id, found.process.pid


@pytest.fixture(scope="module")
def stopped(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    typist = copied(new_repository, tmp_path_factory.mktemp("stopped") / "demo")
    typist.commit(long_input())
    one, pid = when(typist, lambda: bool(trajectories(typist)))
    has_own_session = os.getsid(pid) == pid
    said = typist("cancel", one)
    first = trajectories(typist)
    learnt = len(metrics(typist))  # it may have come as far as that before it was cancelled
    two, pid = when(typist, lambda: len(metrics(typist)) > learnt + 2)
    os.kill(pid, signal.SIGKILL)
    wait(lambda: state(typist, two)["state"] == "interrupted")
    fetched = typist("fetch")
    second = trajectories(typist)
    launch(typist)
    return Stopped(
        typist,
        has_own_session,
        (said, state(typist, one), first),
        (state(typist, two), fetched, second),
        typist("fetch", "--wait"),
    )


def test_a_job_has_a_session_of_its_own(stopped: Stopped) -> None:
    assert stopped.has_own_session


def test_a_cancelled_job_keeps_what_it_made(stopped: Stopped) -> None:
    said, became, kept = stopped.cancelled
    assert said.code == 0
    assert "is cancelled; what it made is kept" in said.out
    assert (became["state"], became["error"]) == ("cancelled", "")
    assert trajectories(stopped.typist).startswith(kept)


def test_a_killed_job_is_seen_to_be_dead_and_fetch_says_how_to_go_on(stopped: Stopped) -> None:
    became, fetched, kept = stopped.killed
    assert became["state"] == "interrupted"
    assert fetched.code == 1
    assert "`bgit run --detach` on its branch goes on from there" in fetched.out
    assert trajectories(stopped.typist).startswith(kept)


def test_the_next_job_finishes_what_was_stopped_and_killed(stopped: Stopped) -> None:
    assert stopped.last.code == 0
    assert stopped.typist.subjects() == ["bake: first", "Configure", "init: demo"]
    rows = [json.loads(line) for line in trajectories(stopped.typist).splitlines()]
    assert len(rows) == len({(row["stimulus_id"], row["sample"]) for row in rows}) == 320
    assert stopped.typist.changes() == ""


def test_what_cannot_be_recorded_is_refused_before_anything_is_started(typist: Typist) -> None:
    typist.write(input_yml())
    typist.git("add", "input.yml")
    done = typist("run", "--detach")
    assert done.code == 3
    assert "changed and not committed" in done.err
    assert job.listed(ModelRepo(Git.find(typist.root)).store) == []


@pytest.mark.slow
def test_a_run_that_is_under_way_is_not_started_twice(typist: Typist) -> None:
    typist.commit(input_yml())
    one = launch(typist)
    two = launch(typist)
    assert one["id"] == two["id"]
    typist.commit(input_yml(bake="other", prompt="Mumble."))
    said = typist("run", "--detach").err
    assert f"job {one['id']} of this branch is not recorded yet: this one starts from /" in said
    typist.must("cancel", "--all")
    assert state(typist, one["id"])["state"] in ("cancelled", "complete")


@pytest.mark.slow
def test_a_failing_job_shows_its_error_in_fetch(typist: Typist, workplace: Path) -> None:
    typist.commit(input_yml().replace("q0 what?", "q" * 3000))
    started = launch(typist)
    followed = typist("jobs", "--follow", started["id"])
    assert followed.code == 4
    done = typist("fetch")
    assert done.code == 1
    assert "failed" in done.out
    assert state(typist, started["id"])["error"] in followed.err


@pytest.fixture
def held(typist: Typist, baked_repository: Typist) -> tuple[Typist, ModelRepo, Path, Path]:
    """A repository whose questions are about to be asked; their folder, here and when made."""
    typist.commit(input_yml())
    repo = ModelRepo(Git.find(typist.root))
    (target,) = repo.plan().targets
    return typist, repo, repo.store.stim(target.stim.id), baked_repository.store


def test_who_does_not_want_to_wait_is_told_who_holds_it(held) -> None:
    typist, repo, folder, _ = held
    with repo.store.lock(folder, "bgit run stim"):
        done = typist("run", "stim", "--no-wait")
    assert done.code == 3
    who = rf"error: stim/{folder.name} is in use by `bgit run stim` \(process {os.getpid()} on "
    assert re.match(who, done.err)


def test_a_second_run_waits_for_the_first_and_does_not_make_it_again(held) -> None:
    typist, repo, folder, made = held
    with repo.store.lock(folder, "bgit run stim"):
        second = subprocess.Popen(
            [BGIT, "run", "stim", "--json"],
            cwd=typist.root,
            env={**os.environ, **typist.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert second.stderr is not None
        said = second.stderr.readline()
        shutil.copytree(made / "stim" / folder.name, folder)
        before = (folder / "stimuli.jsonl").stat()
    out, _ = second.communicate()
    assert said.startswith(f"note: stim/{folder.name} is in use by `bgit run stim` (process")
    assert said.endswith("waiting for it\n")
    assert (second.returncode, json.loads(out)["stimuli"]) == (0, 12)
    assert (folder / "stimuli.jsonl").stat() == before


@pytest.mark.slow
def test_a_job_goes_on_when_its_worktree_is_removed_while_it_works(typist: Typist) -> None:
    typist.git("worktree", "add", "-q", "-b", "quiet", "../beside")
    beside = Typist(typist.root.parent / "beside", typist.env)
    beside.commit(input_yml(prompt="Whisper."))
    repo = ModelRepo(Git.find(beside.root))
    with repo.store.lock(repo.store.stim(repo.plan().targets[0].stim.id), "bgit run stim"):
        started = launch(beside)["id"]
        wait(lambda: "waiting for it" in typist("jobs", "--log", started).out)
        typist.git("worktree", "remove", "--force", "../beside")
    followed = typist("jobs", "--follow", started)
    assert (followed.code, state(typist, started)["state"]) == (0, "complete"), followed.out
    typist.git("switch", "-q", "--discard-changes", "quiet")  # the example that init wrote
    typist.must("fetch")
    assert typist.subjects() == ["bake: first", "Configure", "init: demo"]
    assert typist.parent() == state(typist, started)["model"]


@pytest.mark.slow
def test_two_worktrees_bake_side_by_side(typist: Typist) -> None:
    typist.commit(input_yml())
    typist.git("worktree", "add", "-q", "-b", "quiet", "../beside")
    beside = Typist(typist.root.parent / "beside", typist.env)
    beside.commit(input_yml(prompt="Whisper.", bake="second"))
    env = {**os.environ, "OMP_NUM_THREADS": "1", **typist.env}
    both = [
        subprocess.Popen(
            [BGIT, "run", "--json"],
            cwd=where.root,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for where in (typist, beside)
    ]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    made = [json.loads(out) for out, _ in said]
    assert [report["is_current"] for report in made] == [True, True]
    for report, where in zip(made, (typist, beside), strict=True):
        assert report["commit"] == where.git("rev-parse", "HEAD")
        assert report["bake_id"] in report["model"]
        assert (report["stimuli"], report["trajectories"]) == (12, 24)
        assert {"kl_before", "kl_after"} <= set(report["card"])
        assert {"stim", "rollout", "bake"} <= set(report["seconds"])
    assert [typist.parent(), beside.parent()] == [report["model"] for report in made]
    assert (typist.changes(), beside.changes()) == ("", "")
