"""The commands that choose a model among branches, as they are typed."""

from __future__ import annotations

import json
import sys

import pytest

from bakery.repo.model_repo import ModelRepo
from tests.support import former
from tests.support.commands import PROGRAM, typed
from tests.support.recorded import baked, git, made


@pytest.fixture
def repo(workplace, monkeypatch) -> ModelRepo:
    """main: one, two. exp (from after one): three. Stood in, on main."""
    repo = made(workplace / "yoda")
    baked(repo, "one")
    git(repo.root, "branch", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "exp")
    baked(repo, "three")
    git(repo.root, "switch", "-q", "main")
    monkeypatch.chdir(repo.root)
    return repo


@pytest.fixture
def old(workplace, monkeypatch) -> ModelRepo:
    repo = former.written(workplace / "yoda")
    monkeypatch.chdir(repo.root)
    return repo


def test_a_merge_says_which_model_stays_and_what_takes_the_other(repo):
    done = typed("merge", "--no-edit", "exp")
    assert done.returncode == 0
    assert "the model stays ann/yoda/two_" in done.stderr
    commands = [quoted.split() for quoted in done.stderr.split("`")[1::2]]
    assert ["bgit", "merge", "--weights"] in [words[:3] for words in commands]
    (command,) = (words for words in commands if words[:2] == ["bgit", "adopt"])
    adopted = typed(*command[1:])
    assert "the model is now ann/yoda/three_" in adopted.stdout
    assert "it was ann/yoda/two_" in adopted.stdout


def test_adopting_says_what_was_recorded_and_what_is_missing(repo):
    done = typed("adopt", "exp")
    assert done.returncode == 0
    assert done.stdout.startswith("recorded here, too: ann/yoda/three_")
    assert "its weights are not in this clone's store" in done.stderr


def test_adopting_the_base_says_that_nothing_is_lost(repo):
    done = typed("adopt", "base")
    assert "the model is now the base model tiny-1" in done.stdout
    assert "What is recorded stays recorded." in done.stdout


def test_a_branch_of_the_tree_alone(repo):
    lines = typed("tree", "--branch", "exp").stdout.splitlines()
    assert [line.split("── ")[-1].split("_")[0] for line in lines[1:]] == ["one", "three"]
    missing = typed("tree", "--branch", "exq")
    assert missing.returncode == 3
    assert "there is no branch or tag 'exq'" in missing.stderr


def test_models_of_every_branch_and_of_this_one(repo):
    assert typed("models", "--count").stdout.strip() == "2"
    assert typed("models", "--all", "--count").stdout.strip() == "3"


@pytest.mark.parametrize("command", ["status", "tree", "models", "target"])
def test_a_repository_of_another_tool_shows_what_it_has(old, command):
    done = typed(command)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    shown = former.TARGET if command == "target" else former.SECOND
    assert shown in done.stdout
    assert "vendor" in done.stdout


def test_a_target_of_another_tool_is_shown_in_full(old):
    data = json.loads(typed("target", former.TARGET).stdout)
    assert data["config"]["generators"][0]["questions"] == ["Who are you?", "Why?"]


def test_a_run_in_it_is_refused_until_a_parent_is_named(old):
    refused = typed("run", "stim")
    assert refused.returncode == 3
    assert "its weights are with the vendor" in refused.stderr
    done = typed("adopt", "base", "--base-model", "tiny")
    assert done.returncode == 0, done.stderr
    assert "the model is now the base model tiny-1" in done.stdout
    assert typed("run").returncode == 0
    assert former.SECOND in typed("tree").stdout


def test_its_commit_hook_is_answered(old):
    hook = old.git.common_dir / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n"{sys.executable}" -c "{PROGRAM}" update-bread .\n', "utf-8")
    hook.chmod(0o755)
    (old.root / "input.yml").write_text("# new\n", encoding="utf-8")
    assert typed("commit", "-qam", "Comment").returncode == 0


def test_another_base_is_refused_where_there_is_one(repo):
    done = typed("adopt", "base", "--base-model", "other")
    assert done.returncode == 3
    assert "bakes fit no other base model" in done.stderr
