"""What was baked in the background becomes a commit on its own branch, and nowhere else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from bakery.app import background
from bakery.engine.models import adapter_folder
from bakery.engine.models.adapter_check import parts
from bakery.errors import ModelError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import job
from bakery.store.job import Progress
from tests.support.adapters import adapter
from tests.support.commands import typed_here as typed
from tests.support.in_background import complete, launched, now
from tests.support.recorded import STEP, baked, committed, configuration, git, made, stored


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    repository = made(workplace / "yoda")
    monkeypatch.chdir(repository.root)
    return repository


def test_a_complete_job_becomes_one_commit_that_empties_its_configuration(repo):
    plan = committed(repo, "one")
    done = complete(repo, plan)
    answer = typed("fetch")
    assert answer.exit_code == 0
    assert f"bake    {plan.model_ref(STEP)}\n" in answer.stdout
    assert git(repo.root, "log", "--format=%s").splitlines()[0].startswith("bake: one")
    names = git(repo.root, "show", "--format=", "--name-only").split()
    assert names == [".bread", "input.yml", "recipe.yml"]
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.plan().is_empty
    assert now(repo, done).recorded == repo.git.head()


def test_fetching_again_records_nothing_twice(repo):
    complete(repo, committed(repo, "one"))
    typed("fetch")
    head = repo.git.head()
    answer = typed("fetch")
    assert (answer.exit_code, repo.git.head()) == (0, head)
    assert f"recorded as {head[:10]}" in answer.stdout


def test_another_branch_is_told_where_to_go_and_records_nothing(repo):
    done = complete(repo, committed(repo, "one"))
    git(repo.root, "switch", "-qc", "other")
    head = repo.git.head()
    answer = typed("fetch")
    assert answer.exit_code == 0
    assert "No background run was launched from other" in answer.stdout
    assert f"{done.id}  complete  main: `bgit switch main`, then `bgit fetch`" in answer.stdout
    assert (repo.git.head(), git(repo.root, "rev-parse", "main")) == (head, head)


def test_a_branch_that_is_gone_is_brought_back_from_where_it_was_launched(repo):
    done = complete(repo, committed(repo, "one"))
    git(repo.root, "switch", "-qc", "other")
    git(repo.root, "branch", "-qD", "main")
    way = f"bgit switch -c main {done.commit[:10]}"
    assert f"`{way}`, then `bgit fetch`" in typed("fetch").stdout
    git(repo.root, *way.split()[1:])
    typed("fetch")
    assert now(repo, done).recorded == repo.git.head()


def test_a_branch_of_another_worktree_is_gone_to_there(repo):
    complete(repo, committed(repo, "one"))
    git(repo.root, "switch", "-qc", "other")
    git(repo.root, "worktree", "add", "-q", "../beside", "main")
    assert f"`cd {repo.root.parent / 'beside'}`" in typed("fetch").stdout


def test_a_running_job_says_how_far_it_is(repo):
    at = Progress("rollout", 30, 120, 10.0, 9.0, "900 tokens/s")
    running = launched(repo, committed(repo, "one"), progress=at)
    answer = typed("fetch")
    assert answer.exit_code == 0
    assert f"{running.id}  running  one_" in answer.stdout
    assert "rollout 25 % (30/120), about 9.0 s left of it" in answer.stdout
    assert not repo.is_recorded(repo.plan().bake.id)


@pytest.mark.parametrize("state", ["failed", "cancelled", "interrupted"])
def test_a_job_that_came_to_nothing_is_shown_and_ends_with_an_error(repo, state):
    launched(
        repo, committed(repo, "one"), state=state, error="out of memory", hint="Take fewer at once."
    )
    answer = typed("fetch")
    assert answer.exit_code == 1
    assert state in answer.stdout
    assert "Take fewer at once." in answer.stdout


def test_a_job_that_was_cancelled_says_how_it_goes_on(repo):
    launched(repo, committed(repo, "one"), state="cancelled")
    assert "`bgit run --detach` on its branch goes on from there" in typed("fetch").stdout


def test_a_failure_that_was_made_good_is_not_spoken_of_again(repo):
    plan = committed(repo, "one")
    launched(repo, plan, state="failed", error="out of memory")
    complete(repo, plan)
    answer = typed("fetch")
    assert answer.exit_code == 0
    assert "out of memory" not in answer.stdout


def test_the_next_configuration_that_is_being_written_is_left_alone(repo):
    complete(repo, committed(repo, "one"))
    committed(repo, "two")
    answer = typed("fetch")
    assert answer.exit_code == 0
    assert "input.yml is not the one that was baked: it is left as it is" in answer.stderr
    assert repo.plan().bake_name.startswith("two_")


def test_where_the_branch_moved_on_the_bake_is_recorded_beside_its_model(repo):
    plan = committed(repo, "one")
    complete(repo, plan)
    two = baked(repo, "two")
    answer = typed("fetch")
    assert answer.exit_code == 0
    assert "`bgit adopt one` makes it the current model" in answer.stderr
    assert repo.state().parent == two
    assert [bake.base_name for bake in repo.bakes()] == ["two", "one"]


def test_what_was_recorded_beside_is_adopted_by_the_name_that_was_said(repo):
    done = complete(repo, committed(repo, "one"))
    baked(repo, "two")
    said = typed("fetch").stderr
    (command,) = re.findall(r"`bgit (adopt \S+)`", said)
    assert typed(*command.split()).exit_code == 0
    assert str(repo.state().parent) == done.model
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_reverted_bake_is_not_brought_back_by_the_next_fetch(repo):
    complete(repo, committed(repo, "one"))
    typed("fetch")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert repo.state().parent is None
    head = repo.git.head()
    assert typed("fetch").exit_code == 0
    assert repo.git.head() == head


def test_two_jobs_of_one_branch_are_both_recorded_the_second_beside_the_first(repo):
    one, two = complete(repo, committed(repo, "one")), complete(repo, committed(repo, "two"))
    typed("fetch")
    assert [bake.base_name for bake in repo.bakes()] == ["one", "two"]
    assert [bake.parent for bake in repo.bakes()] == [None, None]
    assert str(repo.state().parent) == one.model
    assert now(repo, two).recorded == repo.git.head()


def test_a_bake_that_run_recorded_and_a_revert_took_back_is_not_fetched_again(repo):
    plan = committed(repo, "one")
    done = complete(repo, plan)
    result = json.loads((repo.store.bake(done.bake_id) / "bake.json").read_text("utf-8"))
    commit = repo.record(plan, result, launched=done.input_blob, reporter=Quiet())
    assert now(repo, done).recorded == commit
    repo.revert(["one"], Quiet())
    head = repo.git.head()
    assert typed("fetch").exit_code == 0
    assert repo.git.head() == head


def test_a_bake_that_came_by_a_merge_is_only_marked(repo):
    done = complete(repo, committed(repo, "one"))
    background.fetch(repo, Quiet())
    made_by = repo.git.head()
    replace(done, recorded=None).write(repo.store)
    fetched = background.fetch(repo, Quiet())
    assert (repo.git.head(), fetched.jobs[0].recorded) == (made_by, made_by)


def test_changed_weights_are_never_recorded(repo):
    done = complete(repo, committed(repo, "one"))
    (weights,) = repo.store.bake(done.bake_id).glob("*/adapter_model.safetensors")
    weights.write_bytes(b"other")
    refused = background.fetch(repo, Quiet()).refused[done.id]
    assert isinstance(refused, ModelError)
    assert "are not those of bake.json" in refused.message
    assert not repo.is_recorded(done.bake_id)
    assert now(repo, done).recorded is None


def test_on_no_branch_nothing_is_fetched(repo):
    complete(repo, committed(repo, "one"))
    git(repo.root, "checkout", "-q", "--detach")
    answer = typed("fetch")
    assert answer.exit_code == 3
    assert "HEAD is detached" in answer.stderr


def test_as_json_it_is_one_document(repo):
    done = complete(repo, committed(repo, "one"))
    answer = json.loads(typed("fetch", "--json").stdout)
    assert answer["branch"] == "main"
    (found,) = answer["jobs"]
    assert (found["id"], found["model"], found["recorded"]) == (
        done.id,
        done.model,
        repo.git.head(),
    )
    assert found["card"]["kl_after"] == 0.045678


def test_with_a_remote_it_is_git_s_fetch(repo, capfd):
    answer = typed("fetch", "nowhere")
    assert answer.exit_code == 128
    assert "'nowhere' does not appear to be a git repository" in capfd.readouterr().err


def test_options_of_both_fetches_do_not_mix(repo):
    answer = typed("fetch", "--wait", "origin")
    assert answer.exit_code == 2
    assert "origin is for git's fetch" in answer.stderr


FETCH = """
import os
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.app import background
repo = ModelRepo.find()
(repo.git.git_dir / "bgit.pid").write_text(str(os.getpid()))
background.fetch(repo, Quiet())
"""


def test_fetched_by_several_at_once_it_is_recorded_once(repo):
    complete(repo, committed(repo, "one"))
    at_once = [subprocess.Popen([sys.executable, "-c", FETCH]) for _ in range(3)]
    assert [process.wait() for process in at_once] == [0, 0, 0]
    assert [bake.base_name for bake in repo.bakes()] == ["one"]
    assert git(repo.root, "rev-list", "--count", "HEAD") == "3"
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.store.journals() == []


@pytest.mark.parametrize("at", ["pre-commit", "post-commit"])
def test_a_fetch_that_was_killed_is_completed_once(repo, at):
    done = complete(repo, committed(repo, "one"))
    hook = repo.git.common_dir / "hooks" / at
    # Git itself ends, too, where it is killed before it made the commit.
    hook.write_text("#!/bin/sh\nkill -9 $(cat .git/bgit.pid)\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    killed = subprocess.run([sys.executable, "-c", FETCH], check=False, env=os.environ)
    assert killed.returncode == -9
    hook.unlink()
    assert typed("fetch").exit_code == 0
    subjects = git(repo.root, "log", "--format=%s").splitlines()
    assert [line.partition(" (KL")[0] for line in subjects] == [
        "bake: one",
        "Configure one",
        "init: yoda",
    ]
    assert git(repo.root, "status", "--porcelain") == ""
    assert now(repo, done).recorded == repo.git.head()


def test_jobs_lists_what_works_waits_or_is_to_be_fetched(repo):
    plan = committed(repo, "one")
    running, done = launched(repo, plan), complete(repo, plan)
    failed = launched(repo, plan, state="failed", error="out of memory")
    lines = typed("jobs").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [running.id, "running", "main"],
        [done.id, "complete", "main"],
        [failed.id, "failed", "main"],
    ]
    assert lines[2].endswith("`bgit fetch` records it")
    assert lines[3].endswith("out of memory")


def test_status_says_what_is_to_be_fetched_and_where(repo):
    done = complete(repo, committed(repo, "one"))
    out = typed("status").stdout
    assert f"job {done.id} is complete: `bgit fetch` on main records {done.model}" in out
    assert out.endswith("next: bgit fetch\n")
    git(repo.root, "switch", "-qc", "other")
    assert not typed("status").stdout.endswith("next: bgit fetch\n")


def test_status_says_what_runs_on_this_branch(repo):
    running = launched(repo, committed(repo, "one"))
    out = typed("status").stdout
    assert f"job {running.id} is running on main" in out
    assert "next: bgit fetch --wait" in out


def test_jobs_leaves_out_what_is_over_and_says_how_many(repo):
    plan = committed(repo, "one")
    launched(repo, plan, state="failed", error="out of memory")
    complete(repo, plan)
    typed("fetch")
    nothing = "No background run is under way or waiting to be fetched.\n"
    assert typed("jobs").stdout == nothing + "2 more: bgit jobs --all\n"
    assert len(json.loads(typed("jobs", "--all", "--json").stdout)) == 2
    assert len(json.loads(typed("jobs", "--all", "-n", "1", "--json").stdout)) == 1


def test_a_log_can_be_read_and_a_failed_job_followed_to_its_error(repo):
    failed = launched(repo, committed(repo, "one"), state="failed", error="oh", hint="Try more.")
    job.log_path(repo.store, failed.id).write_text("stim: 2/2\nerror: oh\n", encoding="utf-8")
    assert typed("jobs", "--log", failed.id[:4]).stdout == "stim: 2/2\nerror: oh\n"
    answer = typed("jobs", "--follow", failed.id)
    assert (answer.exit_code, answer.stdout) == (4, "stim: 2/2\nerror: oh\n")
    assert (
        click.unstyle(answer.stderr) == f"error: job {failed.id} is failed: oh\nhint: Try more.\n"
    )


def test_only_a_living_job_of_this_machine_can_be_stopped(repo):
    plan = committed(repo, "one")
    done, running = complete(repo, plan), launched(repo, plan)
    with pytest.raises(RepoError, match="is complete: there is nothing to stop"):
        background.cancel(repo.store, done)
    elsewhere = replace(running, process=replace(running.process, host="elsewhere"))
    with pytest.raises(RepoError, match="not on this machine"):
        background.cancel(repo.store, elsewhere)
    assert typed("cancel").exit_code == 2


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(repo):
    plan = committed(repo, "one")
    answer = typed("run", "--dry-run", "--json")
    assert answer.exit_code == 0
    assert plan.bake.id in answer.stdout
    assert not repo.store.stim(plan.targets[0].stim.id).exists()


def test_running_at_once_is_for_the_background_only(repo):
    answer = typed("run", "--now")
    assert answer.exit_code == 2
    assert "--now goes with --detach" in answer.stderr


def test_what_a_gate_held_back_is_shown_with_its_card(repo):
    (repo.root / "tests.yml").write_text("gate: {gap_closed: 0.9}\n", encoding="utf-8")
    text = configuration("one") + "  model: {baked_adapter_config: {r: 3}}\n"
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    git(repo.root, "add", "tests.yml", "input.yml")
    git(repo.root, "commit", "-qm", "Ask for more")
    plan = repo.plan()
    result = dict(stored(repo, plan))
    folder = repo.store.bake(result["bake_id"])
    adapter(folder / str(STEP))
    adapter_folder.write_slices(folder / str(STEP), parts([(result["bake_id"], 3)]))
    result["digest"] = adapter_folder.digest(folder / str(STEP))
    (folder / "bake.json").write_text(json.dumps(result), encoding="utf-8")
    mine = launched(repo, plan, stages=("bake",))
    log = subprocess.run(
        [*background.PROGRAM, str(repo.store.root), mine.id], capture_output=True, text=True
    )
    assert log.returncode == 6, log.stderr
    short = "falls short of the gate's gap_closed"
    for said in (log.stdout, typed("fetch").stdout):
        assert "KL to the prompted teacher" in said
    assert "not recorded" in log.stdout
    assert short in log.stderr
    ended = now(repo, mine)
    assert (ended.state, ended.recorded, short in ended.error) == ("failed", None, True)
    (found,) = json.loads(typed("fetch", "--json").stdout)["jobs"]
    assert found["card"]["kl_after"] == 0.045678
    assert "--allow gate" in typed("fetch").stdout
    assert repo.state().parent is None
