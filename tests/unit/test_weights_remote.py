"""Which remote of weights a clone uses: what somebody typed in it, never what .bread says alone."""

from __future__ import annotations

import configparser
import os
import shutil
from pathlib import Path

import pytest

from bakery.app import stored, weights
from bakery.app.pull import Pulled
from bakery.app.push import Moving
from bakery.cli import app
from bakery.cli.push import is_dry_run
from bakery.errors import ConfigError, ModelError
from bakery.repo.commits import publishing
from bakery.repo.files import state
from bakery.repo.files.names import WEIGHTS_REMOTE
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.ui.weights import show_pulled
from tests.support.commands import typed
from tests.support.recorded import baked, git, hook, made


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    found = made(workplace / "yoda")
    git(found.root, "commit", "-qam", "Start")
    return found


def proposed(repo: ModelRepo, url: str) -> None:
    """Have .bread propose an address, as a stranger's does."""
    text = (repo.root / ".bread").read_text("utf-8")
    (repo.root / ".bread").write_text(state.with_weights(text, url), encoding="utf-8")


def test_the_line_is_put_in_changed_and_taken_out_again(repo):
    before = (repo.root / ".bread").read_text("utf-8")
    one = state.with_weights(before, "s3://one")
    two = state.with_weights(one, "s3://two")
    assert [state.parse(text).weights for text in (before, one, two)] == [
        "",
        "s3://one",
        "s3://two",
    ]
    assert two.count("weights") == 1
    assert state.with_weights(two, "") == before
    for line in ("[REPO]", "schema = 1", "PARENT_MODEL ="):
        assert line in one.splitlines()
    parser = configparser.ConfigParser()
    parser.read_string(one)


def test_what_was_typed_is_enabled_and_proposed(repo):
    found = weights.set_remote(repo, "s3://models/yoda/", Quiet())
    assert (found.enabled, found.proposed) == ("s3://models/yoda",) * 2
    assert git(repo.root, "log", "-1", "--format=%s") == "weights: s3://models/yoda"
    assert git(repo.root, "show", "--name-only", "--format=") == ".bread"
    assert git(repo.root, "status", "--porcelain") == ""
    assert weights.remote(repo) == weights.WeightsRemote("s3://models/yoda", "s3://models/yoda")
    weights.remove(repo, Quiet())
    assert weights.remote(repo) == weights.WeightsRemote("", "")


def test_a_folder_that_is_not_there_is_named(repo, workplace, capsys):
    said = Quiet()
    weights.set_remote(repo, str(workplace / "there"), said)
    assert said.notes == [f"there is no folder {workplace / 'there'} yet: `bgit push` makes it"]
    lost = Moving("weights", "yoda")
    show_pulled(Pulled(f"file://{workplace / 'there'}", (), (), (lost,), 0))
    assert f"there is no folder {workplace / 'there'}. Is a disk" in capsys.readouterr().err
    (workplace / "there").mkdir()
    weights.set_remote(repo, str(workplace / "there"), said)
    assert len(said.notes) == 1


def test_a_proposal_is_enabled_without_a_commit(repo):
    proposed(repo, "s3://models")
    git(repo.root, "commit", "-qam", "Propose")
    git(repo.root, "switch", "-q", "--detach")
    assert weights.set_remote(repo, "s3://models", Quiet()).commit is None
    assert weights.enabled(repo) == "s3://models"


def test_a_refused_commit_enables_nothing(repo):
    hook(repo, "pre-commit", "exit 1")
    with pytest.raises(Exception, match="git commit was refused"):
        weights.set_remote(repo, "s3://models", Quiet())
    assert weights.remote(repo).enabled == ""
    assert git(repo.root, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://models", "`bgit weights remote s3://models` enables it"),
        ("gs://a$(id)", "is not opened"),
        ("hf://ann/$(id)", "`bgit weights remote 'hf://ann/$(id)'` enables it"),
        ("file:///etc", "only where you type its address"),
        ("s3://me:hunter2@models", "is not opened"),
        ("chain::s3://models", "is not opened"),
        ("http://evil.example/x", "is not opened"),
        ("file:///a/../b", "is not opened"),
    ],
)
def test_a_proposal_is_announced_and_not_enabled(repo, url, said):
    proposed(repo, url)
    found = weights.remote(repo)
    assert found.enabled == ""
    assert found.is_waiting
    assert said in found.announcement
    assert "hunter2" not in found.announcement
    if url.startswith("file"):
        assert "`bgit weights remote file" not in found.announcement


def test_an_address_of_gits_config_is_checked_too(repo):
    git(repo.root, "config", WEIGHTS_REMOTE, "s3://me:secret@models")
    with pytest.raises(ConfigError, match=r"in git's config.*user or password"):
        weights.remote(repo)


def test_only_the_clones_own_config_counts(repo):
    git(repo.root, "config", "--global", WEIGHTS_REMOTE, "s3://models")
    assert weights.remote(repo).enabled == ""


def test_missing_weights_name_the_remote_that_may_have_them(repo, monkeypatch):
    model = baked(repo, "one")
    monkeypatch.setattr(stored.FETCHING, "bring", None)
    git(repo.root, "config", WEIGHTS_REMOTE, "s3://models")
    with pytest.raises(ModelError) as told:
        stored.weights(repo, model)
    assert "`bgit pull --weights-only` fetches them from s3://models" in str(told.value.hint)
    monkeypatch.setattr(stored.FETCHING, "bring", lambda repo, model: False)
    with pytest.raises(ModelError) as told:
        stored.weights(repo, model)
    assert "s3://models does not have them, either" in str(told.value.hint)


@pytest.mark.parametrize(
    "words",
    [[], ["-q"], ["--no-dry-run"], ["origin", "main", "--no-dry-run"], ["-q", "origin", "main"],
     ["origin", "--", "main"], ["--verify"], ["origin", "main:other"], ["--all"], ["-o"]],
    ids=" ".join,
)  # fmt: skip
def test_asking_git_what_it_would_push_pushes_nothing(repo, workplace, words):
    git(workplace, "init", "-q", "--bare", "origin")
    git(repo.root, "remote", "add", "origin", str(workplace / "origin"))
    git(repo.root, "config", "push.default", "current")
    hook(repo, "pre-push", f"touch {workplace}/ran")
    baked(repo, "one")
    sent = publishing.sent(words, repo.root)
    assert git(workplace / "origin", "for-each-ref") == ""
    assert not (workplace / "ran").exists() or "--verify" in words
    if words != ["-o"]:
        assert [bake.base_name for bake in publishing.recorded(repo.git, sent)] == ["one"]


def test_a_deleted_branch_sends_nothing(repo, workplace):
    git(workplace, "init", "-q", "--bare", "origin")
    git(repo.root, "push", "-q", str(workplace / "origin"), "main:x")
    assert publishing.sent([str(workplace / "origin"), ":x"], repo.root) == []
    assert publishing.sent([str(workplace / "origin"), "main:x"], repo.root) == ["refs/heads/main"]


DRY = {
    ("-n",): True, ("-fn",): True, ("--dry-run",): True, ("--dry",): True, ("-nf", "origin"): True,
    (): False, ("-on",): False, ("-fu",): False, ("--no-verify",): False,
    ("--dry-run", "--no-dry-run"): False,
}  # fmt: skip


@pytest.mark.parametrize("words", DRY, ids=" ".join)
def test_a_dry_run_is_what_git_takes_for_one(words):
    assert is_dry_run(words) == DRY[words]


@pytest.mark.parametrize(
    "words",
    [["https://x.example/ann/yoda.git"], ["ann@x.example:yoda", "--depth", "1"], ["-q", "../yoda/"],
     ["../a/yoda/.git"], ["--", "yoda.bundle"], ["../other", "yoda", "-b", "main"]],
    ids=" ".join,
)  # fmt: skip
def test_the_folder_that_a_clone_makes_is_found(workplace, words):
    assert Path("yoda") in app._places_of_clone(words)
    (workplace / "yoda").mkdir()
    (workplace / "yoda/file").touch()
    assert Path("yoda") not in app._places_of_clone(words)


def test_with_a_remote_git_is_still_handed_what_was_typed(repo, workplace, monkeypatch):
    git(workplace, "init", "-q", "--bare", "origin")
    weights.set_remote(repo, str(workplace / "weights"), Quiet())
    log, found = workplace / "asked", shutil.which("git")
    (workplace / "bin").mkdir()
    script = f'#!/bin/sh\n[ "$1" = push ] && echo "$@" >> {log}\nexec {found} "$@"\n'
    (workplace / "bin/git").write_text(script, encoding="utf-8")
    (workplace / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{workplace / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(repo.root)
    words = ["-v", "-o", "ci.skip", "--force", str(workplace / "origin"), "main:x", "--", "--data"]
    done = typed("push", "--data", *words)
    assert done.returncode != 0  # --data is no ref
    tried, asked = log.read_text(encoding="utf-8").splitlines()
    assert asked == " ".join(["push", *words])
    assert tried.startswith("push --dry-run -v -o ci.skip")
    assert "no weights are sent" in done.stderr


def test_weights_alone_shows_the_remote(repo, monkeypatch):
    monkeypatch.chdir(repo.root)
    weights.set_remote(repo, "s3://models/yoda", Quiet())
    assert typed("weights").stdout == typed("weights", "remote").stdout == "s3://models/yoda\n"
