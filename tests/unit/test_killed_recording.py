"""Wherever a recording is killed, the next command completes it, once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import (
    STEP,
    baked,
    committed,
    git,
    hook,
    made,
    stored,
    subjects,
)


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    return made(workplace / "a model")


CHILD = """
import os
from pathlib import Path
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import result_of
repo = ModelRepo.find()
(repo.git.git_dir / "bgit.pid").write_text(str(os.getpid()))
plan = repo.plan()
repo.record(plan, result_of(plan), launched=repo.launch_blob(), reporter=Quiet())
"""

REVERT = """
import os
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
repo = ModelRepo.find()
(repo.git.git_dir / "bgit.pid").write_text(str(os.getpid()))
repo.revert(["yoda"], Quiet())
"""

KILL_BGIT = "kill -9 $(cat .git/bgit.pid)"


def killed_recording(repo: ModelRepo, *, at: str, code: str = CHILD, more: str = "") -> None:
    """Record (or what `code` does) in a process of its own, which git's hook `at` kills."""
    killer = hook(repo, at, KILL_BGIT + more)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repo.root,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == -9, done.stderr
    killer.unlink()


@pytest.mark.parametrize("at", ["pre-commit", "commit-msg", "post-commit"])
def test_a_killed_recording_is_completed_once(repo, at):
    plan = committed(repo, "yoda")
    stored(repo, plan)
    (repo.root / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "mine.txt")
    killed_recording(repo, at=at)
    wait_for_git(repo)
    for _ in range(2):
        repo.finish_pending(Quiet())
        assert subjects(repo) == [
            "bake: yoda (KL 1.23 → 0.0457)",
            "Configure yoda",
            "init: yoda",
        ]
        assert git(repo.root, "status", "--porcelain") == "A  mine.txt"
        assert repo.state().parent == plan.model_ref(STEP)
        assert repo.store.journals() == []


def test_a_commit_that_outlives_its_killed_parent_is_not_made_twice(repo):
    plan = committed(repo, "yoda")
    killed_recording(repo, at="pre-commit")
    repo.finish_pending(Quiet())  # the orphaned git may still be at work
    wait_for_git(repo)
    repo.finish_pending(Quiet())
    assert subjects(repo)[1:] == ["Configure yoda", "init: yoda"]
    assert repo.is_recorded(plan.bake.id)
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_repository_that_was_moved_meanwhile_is_completed_all_the_same(repo, workplace):
    plan = committed(repo, "yoda")
    killed_recording(repo, at="pre-commit", more="; exit 1")
    repo.root.rename(workplace / "moved")
    moved = ModelRepo.find(workplace / "moved")
    moved.finish_pending(Quiet())
    assert moved.is_recorded(plan.bake.id)
    assert moved.store.journals() == []


def test_killed_between_result_and_journal_the_next_run_records(repo):
    plan = committed(repo, "yoda")
    result = stored(repo, plan)
    repo.finish_pending(Quiet())
    assert not repo.is_recorded(plan.bake.id)
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    assert repo.is_recorded(plan.bake.id)


def test_killed_between_index_and_folder_the_folder_follows(repo):
    committed(repo, "yoda")
    killed_recording(repo, at="post-commit")
    wait_for_git(repo)
    git(repo.root, "read-tree", "HEAD")
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.plan("worktree").is_empty


@pytest.mark.parametrize("followed", [[], [".bread"], ["recipe.yml"], [".bread", "input.yml"]])
def test_killed_in_the_middle_of_the_folder_the_rest_follows(repo, followed):
    committed(repo, "yoda")
    killed_recording(repo, at="post-commit")
    wait_for_git(repo)
    (repo.root / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "mine.txt")
    git(repo.root, "update-index", "--cacheinfo", index_row(repo, "recipe.yml"))
    if followed:
        rows = [row for path in followed for row in ("--cacheinfo", index_row(repo, path))]
        git(repo.root, "update-index", *rows)
        git(repo.root, "checkout-index", "-f", "--", *followed)
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == "A  mine.txt"
    assert repo.plan("worktree").is_empty
    assert repo.store.journals() == []


def index_row(repo: ModelRepo, path: str) -> str:
    """Return what `update-index` takes to hold the committed file."""
    return f"100644,{git(repo.root, 'rev-parse', f'HEAD:{path}')},{path}"


@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_the_journal_the_bake_is_recorded_or_the_journal_was_never_there(repo, torn):
    plan = committed(repo, "yoda")
    result = stored(repo, plan)
    killed_recording(repo, at="pre-commit", more="; exit 1")
    (path,) = repo.store.journals()
    if torn:  # it gets its own name only when it is whole
        path.rename(path.with_name(f".{path.name}.1.tmp"))
    repo.finish_pending(Quiet())
    assert repo.is_recorded(plan.bake.id) != torn
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    assert len(subjects(repo)) == 3
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_killed_revert_is_completed_where_its_commit_was_made(repo):
    baked(repo, "yoda")
    killed_recording(repo, at="post-commit", code=REVERT)
    repo.finish_pending(Quiet())
    assert subjects(repo)[0] == "revert: yoda"
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.state().parent is None


def test_a_revert_that_was_killed_before_its_commit_is_let_go(repo):
    model = baked(repo, "yoda")
    killed_recording(repo, at="pre-commit", code=REVERT, more="; exit 1")
    notes = Quiet()
    repo.finish_pending(notes)
    assert notes.notes == ["`revert: yoda` was interrupted; it is not begun, so run it again"]
    assert repo.state().parent == model
    assert repo.store.journals() == []


def test_an_edit_made_between_commit_and_refresh_is_kept(repo):
    committed(repo, "yoda")
    killed_recording(repo, at="post-commit")
    wait_for_git(repo)
    (repo.root / "input.yml").write_text("BAKE:\n  name: mine\n", encoding="utf-8")
    repo.finish_pending(Quiet())
    assert (repo.root / "input.yml").read_text("utf-8") == "BAKE:\n  name: mine\n"
    assert git(repo.root, "status", "--porcelain") == " M input.yml"


def wait_for_git(repo: ModelRepo, subject: str = "bake: yoda") -> None:
    """Let a git that lost its parent make its commit."""
    until = time.monotonic() + 20
    while not subjects(repo)[0].startswith(subject) and time.monotonic() < until:
        time.sleep(0.02)
