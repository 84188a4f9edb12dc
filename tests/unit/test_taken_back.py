"""Bakes whose parent the branch has taken back: what the hints say can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import Result

from bakery.app import run
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.commands import typed_here as typed
from tests.support.in_background import complete
from tests.support.recorded import (
    STEP,
    baked,
    committed,
    current,
    git,
    made,
    names,
    result_of,
    stored,
)


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    repository = made(workplace / "yoda")
    monkeypatch.chdir(repository.root)
    return repository


def follow(said: str) -> Result:
    """Type the command that makes the bake the current model, as it was said."""
    (command,) = re.findall(r"`bgit (adopt \S+)`", said)
    return typed(*command.split())


@pytest.mark.parametrize(
    "back", [["revert", "two", "one"], ["reset", "-q", "--hard", ":/init"]], ids=lambda w: w[0]
)
def test_what_a_fetched_bake_was_made_on_is_recorded_along_and_the_hint_works(repo, back):
    baked(repo, "one")
    baked(repo, "two")
    done = complete(repo, committed(repo, "three"))
    typed(*back)
    assert names(repo) == []
    fetched = typed("fetch")
    assert fetched.exit_code == 0
    assert re.search(r"with it one_\w{16}, two_\w{16}, which the branch had taken", fetched.stderr)
    assert (names(repo), current(repo)) == (["one", "two", "three"], "base")
    assert follow(fetched.stderr).exit_code == 0
    assert str(repo.state().parent) == done.model
    assert git(repo.root, "status", "--porcelain") == ""


def test_only_what_the_branch_lacks_comes_along(repo):
    baked(repo, "one")
    baked(repo, "two")
    complete(repo, committed(repo, "three"))
    repo.revert(["two"], Quiet())
    typed("fetch")
    assert (names(repo), current(repo)) == (["one", "two", "three"], "one")


def test_what_came_along_is_taken_back_with_its_bake(repo):
    baked(repo, "one")
    complete(repo, committed(repo, "two"))
    repo.revert(["one"], Quiet())
    typed("fetch")
    assert typed("revert", "HEAD").exit_code == 0
    assert names(repo) == []


def test_what_is_in_no_recipe_at_all_has_to_be_brought_before_it_is_adopted(repo):
    baked(repo, "one")
    complete(repo, committed(repo, "two"))
    git(repo.root, "checkout", "-q", "--orphan", "new", ":/init")
    git(repo.root, "commit", "-qm", "init again")
    git(repo.root, "branch", "-qM", "new", "main")
    git(repo.root, "reflog", "expire", "--expire=all", "--all")
    fetched = typed("fetch")
    assert fetched.exit_code == 0
    assert "`git fetch --all --tags` has to bring that before `bgit adopt two`" in fetched.stderr
    assert names(repo) == ["two"]


def test_a_bake_that_is_recorded_and_not_current_is_said_with_the_command_that_makes_it_so(repo):
    model = baked(repo, "one")
    repo.adopt(None, reporter=Quiet())
    plan = committed(repo, "one")
    assert plan.model_ref(STEP) == model
    told = Quiet()
    run.compare(repo, model, result_of(plan), told)
    (said,) = told.notes
    assert f"{model} is recorded here, but not the current model" in said
    follow(said)
    assert repo.state().parent == model


def test_of_what_the_current_model_was_baked_on_nothing_is_said(repo):
    plan = committed(repo, "one")
    result = stored(repo, plan)
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    baked(repo, "two")
    told = Quiet()
    run.compare(repo, plan.model_ref(STEP), result, told)
    assert told.notes == []
