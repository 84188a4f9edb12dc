"""Of several jobs, one that cannot be recorded or stopped is in no other's way."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import click
import pytest

from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import job
from bakery.store.job import Job
from bakery.store.processes import ProcessId
from tests.support.commands import typed_here as typed
from tests.support.in_background import complete, launched, now
from tests.support.recorded import STEP, committed, made


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    repository = made(workplace / "yoda")
    monkeypatch.chdir(repository.root)
    return repository


def damaged(repo: ModelRepo, done: Job, what: str) -> None:
    """Take something of a finished bake away."""
    folder = repo.store.bake(done.bake_id)
    if what == "weights":
        (folder / str(STEP) / "adapter_model.safetensors").unlink()
    elif what == "bake.json":
        (folder / "bake.json").unlink()
    elif what == "half of bake.json":
        (folder / "bake.json").write_text('{"schema": 1', encoding="utf-8")
    else:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("what", "code"), [("weights", 5), ("bake.json", 5), ("half of bake.json", 4), ("all", 5)]
)
def test_a_job_whose_bake_is_damaged_keeps_no_later_one_from_being_recorded(repo, what, code):
    one, two = complete(repo, committed(repo, "one")), complete(repo, committed(repo, "two"))
    damaged(repo, one, what)
    answer = typed("fetch")
    assert answer.exit_code == code
    assert now(repo, two).recorded == repo.git.head()
    assert f"bake    {two.model}\n" in answer.stdout
    assert f"{one.id}  not recorded  one_" in answer.stdout
    assert f"error: job {one.id} is not recorded: " in click.unstyle(answer.stderr)


def test_a_job_that_can_never_be_recorded_is_given_up_with_the_command_that_is_said(repo):
    one = complete(repo, committed(repo, "one"))
    damaged(repo, one, "all")
    (path,) = re.findall(r"To do without it: `rm (\S+)`", typed("fetch").stderr)
    Path(path).unlink()
    assert typed("fetch").exit_code == 0


def test_of_several_that_cannot_be_recorded_each_is_named_and_the_worst_is_the_exit_code(repo):
    one, two = complete(repo, committed(repo, "one")), complete(repo, committed(repo, "two"))
    damaged(repo, one, "weights")
    damaged(repo, two, "half of bake.json")
    answer = typed("fetch", "--json")
    assert answer.exit_code == 5
    for done in (one, two):
        assert f"job {done.id} is not recorded: " in answer.stderr
    told = [found["refused"] for found in json.loads(answer.stdout)["jobs"]]
    assert [text.split(" is not")[0] for text in told] == [f"job {one.id}", f"job {two.id}"]


def test_of_several_that_are_to_be_stopped_one_that_is_over_keeps_none_of_the_others(repo):
    plan = committed(repo, "one")
    done = complete(repo, plan)
    process = subprocess.Popen(["sleep", "60"])
    named = replace(ProcessId.own(), pid=process.pid, started=time.time())
    works = launched(repo, plan, process=named)
    answer = typed("cancel", done.id, works.id, works.id)
    assert process.wait() == -signal.SIGINT
    assert answer.exit_code == 3
    assert f"job {done.id} is complete: there is nothing to stop" in answer.stderr
    assert f"job {works.id} is cancelled" in answer.stdout
    assert now(repo, works).state == "cancelled"


@pytest.mark.parametrize("text", ["{", '{"schema": 2}'])
def test_a_job_s_file_that_cannot_be_read_keeps_no_bake_from_being_recorded(repo, text):
    plan = committed(repo, "one")
    done = complete(repo, plan)
    job.record_path(repo.store, "000001").write_text(text, encoding="utf-8")
    result = json.loads((repo.store.bake(done.bake_id) / "bake.json").read_text("utf-8"))
    commit = repo.record(plan, result, launched=done.input_blob, reporter=Quiet())
    assert now(repo, done).recorded == commit == repo.git.head()
    assert repo.store.journals() == []
