"""What a job's file says, and when it is not to be believed."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bakery.cli.app import bgit
from bakery.errors import RepoError
from bakery.repo.git import Git
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import job
from bakery.store.job import Job, Progress
from bakery.store.processes import ProcessId
from bakery.store.store import Store
from tests.support.in_background import launched
from tests.support.recorded import committed

MODEL = f"ann/yoda/one_{'a' * 16}/12"


@pytest.fixture
def running(repo: ModelRepo) -> Job:
    return launched(repo, committed(repo, "one"))


def read(repo: ModelRepo, written: Job) -> Job:
    return job.read(job.record_path(repo.store, written.id))


def ended_process() -> ProcessId:
    """Return a process that was here and is not any more."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    named = replace(ProcessId.own(), pid=child.pid)
    child.kill()
    child.communicate()
    return named


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_written_is_read_again(repo, running):
    written = replace(
        running,
        progress=Progress("rollout", 3, 12, 1.5, 6.0, "900 tokens/s"),
        notes=("a note",),
        model=MODEL,
    ).write(repo.store)
    assert read(repo, written) == written
    assert (written.bake_id, written.progress.percent) == ("a" * 16, 25)


def test_a_job_whose_process_is_gone_is_interrupted_and_says_how_to_go_on(repo, running):
    found = read(repo, replace(running, process=ended_process()).write(repo.store))
    assert found.state == "interrupted"
    assert "killed, or the machine went down" in found.error
    assert "`bgit run --detach`" in found.hint


def test_the_process_of_an_earlier_start_of_the_machine_is_not_taken_for_the_job_s(repo, running):
    earlier = replace(running.process, started=running.process.started - 1000)
    assert read(repo, replace(running, process=earlier).write(repo.store)).state == "interrupted"


def test_of_a_job_on_another_machine_its_last_word_is_believed(repo, running):
    elsewhere = replace(ended_process(), host="elsewhere")
    assert read(repo, replace(running, process=elsewhere).write(repo.store)).state == "running"


def test_a_job_of_a_container_that_is_gone_is_interrupted(repo, running):
    elsewhere = replace(running, process=replace(ended_process(), host="elsewhere"))
    elsewhere.write(repo.store)
    with job.alive(repo.store, running.id):
        assert in_another_process(repo, running) == "running"
    job.record_path(repo.store, running.id).with_suffix(".lock").touch()
    assert in_another_process(repo, running) == "interrupted"


def in_another_process(repo: ModelRepo, of: Job) -> str:
    """Return a job's state as another process sees it."""
    program = (
        "import sys, pathlib; from bakery.store import job; "
        "print(job.read(pathlib.Path(sys.argv[1])).state)"
    )
    path = str(job.record_path(repo.store, of.id))
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("state", ["complete", "failed", "cancelled"])
def test_what_ended_stays_as_it_ended(repo, running, state):
    done = replace(running, state=state, process=ended_process()).write(repo.store)
    assert read(repo, done).state == state


def test_a_process_that_waits_to_be_buried_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    named = replace(ProcessId.own(), pid=child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert named.is_dead()
    child.wait()


def test_jobs_are_listed_in_the_order_of_their_launch(repo, running):
    late = replace(running, id="000001", created=job.now()).write(repo.store)
    assert [j.id for j in job.listed(repo.store)] == [running.id, late.id]


def test_a_store_of_several_repositories_lists_each_its_own(repo, running, tmp_path):
    shared = Store(tmp_path / "shared")
    running.write(shared)
    replace(running, id="000002", repository="/other/.git").write(shared)
    assert [j.id for j in job.listed(shared, repository=repo.git.common_dir)] == [running.id]
    assert len(job.listed(shared)) == 2


def test_a_repository_that_was_moved_keeps_its_jobs(repo, running, workplace):
    repo.root.rename(workplace / "moved")
    moved = ModelRepo(Git.find(workplace / "moved"))
    (found,) = job.listed(moved.store, repository=moved.git.common_dir)
    assert found.id == running.id


def test_a_job_is_named_by_the_beginning_of_its_id(running):
    jobs = [replace(running, id="abc123"), replace(running, id="abd456")]
    assert job.find(jobs, "ABC").id == "abc123"
    with pytest.raises(RepoError, match="may mean abc123, abd456"):
        job.find(jobs, "ab")
    with pytest.raises(RepoError, match="there is no job 'x'") as caught:
        job.find(jobs, "x")
    assert caught.value.hint == "`bgit jobs --all` lists them."


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "x": 1}'])
def test_a_file_that_is_no_job_s_is_an_error_with_its_name(repo, running, text):
    path = job.record_path(repo.store, running.id)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RepoError, match=f"{running.id}.json cannot be read"):
        job.read(path)


@pytest.mark.parametrize("key", ["branch", "commit", "created"])
def test_a_job_whose_words_are_none_is_an_error_with_its_name(repo, running, key):
    path = job.record_path(repo.store, running.id)
    data = json.loads(path.read_text(encoding="utf-8")) | {key: [1]}
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(RepoError, match=f"cannot be read: `{key}` is not text"):
        job.read(path)


@pytest.mark.parametrize("text", ["", '{"schema": 2}'])
def test_a_file_that_cannot_be_read_is_named_and_keeps_nobody_from_the_others(repo, running, text):
    other = replace(running, id="000001", created=job.now()).write(repo.store)
    job.record_path(repo.store, running.id).write_text(text, encoding="utf-8")
    told = Quiet()
    assert job.listed(repo.store, note=told.note) == [other]
    assert len(told.notes) == 1
    assert f"{running.id}.json cannot be read" in told.notes[0]
    assert "left out. It says what a job in the background does" in told.notes[0]


def test_what_cannot_be_written_down_of_a_commit_that_is_made_is_only_said(repo, running):
    done = replace(running, state="complete", model=MODEL).write(repo.store)
    job.record_path(repo.store, "000001").write_text("{", encoding="utf-8")
    told, where = Quiet(), (repo.git.common_dir, done.branch, "a" * 16, "c" * 40)
    with full_disk():
        job.mark_recorded(repo.store, *where, note=told.note)
    assert len(told.notes) == 1
    assert f"job {done.id} is recorded, but its file could not be written" in told.notes[0]
    job.mark_recorded(repo.store, *where, note=told.note)
    assert (read(repo, done).recorded, len(told.notes)) == ("c" * 40, 1)


@pytest.mark.parametrize("words", [["status"], ["jobs"], ["fetch"], ["cancel", "--all"]])
def test_every_command_about_jobs_names_the_file_that_it_leaves_out(repo, monkeypatch, words):
    monkeypatch.chdir(repo.root)
    path = job.record_path(repo.store, "000001")
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 2}', encoding="utf-8")
    answer = CliRunner().invoke(bgit, words)
    assert answer.exit_code == 0
    assert "000001.json cannot be read" in answer.output


def test_the_file_is_for_programs_too(repo, running):
    data = json.loads(job.record_path(repo.store, running.id).read_text("utf-8"))
    assert (data["schema"], data["state"], data["branch"]) == (1, "running", "main")
    assert data["process"]["pid"] == os.getpid()
