"""Processes of jobs: they take turns, end when they are told to, and write down how."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from bakery.app import background
from bakery.app.background import PROGRAM
from bakery.errors import BakeryError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import job
from bakery.store.job import Job
from bakery.store.processes import ProcessId
from bakery.ui.console import show_run
from tests.support.in_background import launched
from tests.support.recorded import committed

PATIENCE_S = 60


@pytest.fixture
def earlier(repo: ModelRepo) -> Job:
    """A job that was launched before all others, and works for as long as the test does."""
    return launched(repo, committed(repo, "one"))


def waiting(repo: ModelRepo, earlier: Job) -> Job:
    """Write a job that is queued behind it."""
    later = replace(earlier, id="0000ff", state="queued", began="", created=job.now())
    return later.write(repo.store)


@contextlib.contextmanager
def worker(repo: ModelRepo, mine: Job) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process of a job, and go on when it has taken the job over."""
    log = job.log_path(repo.store, mine.id)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*PROGRAM, str(repo.store.root), mine.id], stdout=output, stderr=output
        )
    try:
        until(lambda: "waiting for job" in log.read_text("utf-8"))
        yield process
    finally:
        process.kill()
        process.wait()


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def now(repo: ModelRepo, of: Job) -> Job:
    return job.read(job.record_path(repo.store, of.id))


def test_a_job_waits_for_the_one_before_it_and_then_begins_by_itself(repo, earlier):
    mine = waiting(repo, earlier)
    with worker(repo, mine) as process:
        assert now(repo, mine).state == "queued"
        assert now(repo, mine).process.pid == process.pid
        replace(earlier, state="complete", ended=job.now()).write(repo.store)
        process.wait()
    ended = now(repo, mine)
    assert ended.began
    # There is no such base on this machine; that it fails shows that it went on.
    assert (ended.state, process.returncode) == ("failed", 5)
    assert "base model tiny-1 has changed" in ended.error
    assert f"error: {ended.error}" in job.log_path(repo.store, mine.id).read_text("utf-8")


def test_a_job_whose_forerunner_died_does_not_wait_for_it(repo, earlier):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    named = replace(ProcessId.own(), pid=gone.pid)
    gone.wait()
    replace(earlier, process=named).write(repo.store)
    with pytest.raises(BakeryError, match="has changed"):
        background.work(repo.store, waiting(repo, earlier).id, Quiet(), show_run)


def test_a_job_that_is_to_run_at_once_waits_for_nobody(repo, earlier):
    mine = replace(waiting(repo, earlier), at_once=True).write(repo.store)
    with pytest.raises(BakeryError, match="has changed"):
        background.work(repo.store, mine.id, Quiet(), show_run)
    assert now(repo, mine).state == "failed"


def test_a_job_goes_on_where_its_worktree_was_removed(repo, earlier):
    gone = str(repo.root.parent / "gone")
    mine = replace(waiting(repo, earlier), at_once=True, worktree=gone).write(repo.store)
    with pytest.raises(BakeryError, match="base model tiny-1 has changed"):
        background.work(repo.store, mine.id, Quiet(), show_run)


def test_cancel_stops_a_job_that_waits(repo, earlier):
    mine = waiting(repo, earlier)
    with worker(repo, mine) as process:
        ended = background.cancel(repo.store, now(repo, mine))
        process.wait()
    assert (ended.state, process.returncode) == ("cancelled", 130)
    assert "what was made is kept" in job.log_path(repo.store, mine.id).read_text("utf-8")


def test_a_job_that_was_cancelled_before_it_began_does_nothing(repo, earlier):
    mine = replace(waiting(repo, earlier), at_once=True).write(repo.store)
    job.cancel_path(repo.store, mine.id).touch()
    background.work(repo.store, mine.id, Quiet(), show_run)
    assert not now(repo, mine).began


def test_a_machine_that_goes_down_leaves_an_interrupted_job(repo, earlier):
    mine = waiting(repo, earlier)
    with worker(repo, mine) as process:
        process.send_signal(signal.SIGTERM)
        process.wait()
    ended = now(repo, mine)
    assert (ended.state, ended.hint) == ("interrupted", job.GO_ON)
    assert "told to end" in ended.error


def test_where_the_disk_is_full_the_job_s_file_stays_whole(repo, earlier):
    mine = waiting(repo, earlier)
    path = job.record_path(repo.store, mine.id)
    before = path.read_bytes()
    done = subprocess.run(
        [*PROGRAM, str(repo.store.root), mine.id],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full")
    assert path.read_bytes() == before
    assert [
        p.name for p in path.parent.iterdir() if p.suffix not in (".json", ".log", ".lock")
    ] == []


STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


def test_what_does_not_end_is_killed_with_its_children():
    stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    child = int(stubborn.stdout.readline())
    named = ProcessId.own()
    named = replace(named, pid=stubborn.pid, started=time.time())
    named.stop((0.05, 0.05, 10.0))
    assert stubborn.wait() == -signal.SIGKILL
    stubborn.stdout.close()
    until(lambda: replace(named, pid=child).is_dead())


def test_a_number_that_was_given_to_another_process_is_left_alone():
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    replace(ProcessId.own(), pid=other.pid, started=0.0).stop((0.0, 0.0, 0.0))
    assert other.poll() is None
    other.communicate(b"\n")
    assert other.returncode == 0


def test_nothing_in_the_folder_of_a_repository_is_run(repo):
    (repo.root / "bakery").mkdir()
    (repo.root / "bakery" / "__init__.py").write_text("print('mine')", encoding="utf-8")
    (repo.root / "json.py").write_text("print('mine')", encoding="utf-8")
    done = subprocess.run(
        [*PROGRAM, str(repo.store.root), "000000"],
        cwd=repo.root,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert "000000.json cannot be read" in done.stderr
