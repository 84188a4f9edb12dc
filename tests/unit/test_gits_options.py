"""Verbs that are git's and ours: a line of git's reaches git as it was typed."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from bakery.cli import gc as gc_
from bakery.cli import raw
from bakery.cli.app import SECTIONS
from tests.support.commands import typed
from tests.support.recorded import git, made

VERBS = (*SECTIONS["Keep"], "push", "pull")
WEIGHED = ("blame", "bisect", "merge", "cherry-pick", "rebase")
"""Those that are ours only with --weights, or another option of ours."""


@pytest.fixture
def root(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, in which the test stands."""
    found = made(workplace / "yoda").root
    monkeypatch.chdir(found)
    return found


@pytest.fixture
def options(root: Path) -> dict[str, list[str]]:
    """Every option that git says its verbs have."""
    listed = {
        verb: git(root, verb, "--git-completion-helper-all").split() for verb in (*VERBS, *WEIGHED)
    }
    return {
        verb: [w.removesuffix("=") for w in words if w != "--"] for verb, words in listed.items()
    }


@pytest.fixture
def asked(options: object, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with each line that git's own verb was asked; that git does nothing else."""
    log, folder = workplace / "asked", workplace / "bin"
    folder.mkdir()
    found = shlex.quote(str(shutil.which("git")))
    verbs = "|".join((*VERBS, *WEIGHED))
    (folder / "git").write_text(
        f'#!/bin/sh\ncase $1 in {verbs}) echo "$@" >> {log};; *) exec {found} "$@";; esac\n',
        encoding="utf-8",
    )
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_gits_reaches_git(options, asked, verb):
    words = [*options[verb], "--prune=1.day.ago", "-q", "HEAD~1", "--", "--json"]
    done = typed(verb, "--json", *words)
    assert done.returncode == 0, done.stderr
    assert asked.read_text(encoding="utf-8").splitlines() == [" ".join([verb, *words])]


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_of_ours_is_one_of_gits(options, verb):
    ours = importlib.import_module(f"bakery.cli.{verb}").OURS
    assert len(options[verb]) > 5
    assert [name for name in ours for own in options[verb] if own.startswith(name)] == []


def test_what_is_ours_does_not_reach_git(asked):
    for words in (["--beside", ".", "--paid"], ["--beside=.", "--json"], ["--no-weights"]):
        assert typed("gc", *words).returncode == 0
    assert typed("gc", "--dry-run").returncode == 0
    assert typed("gc", "--weights-only").returncode == 0
    assert asked.read_text(encoding="utf-8") == "gc\n" * 3


@pytest.mark.parametrize("verb", VERBS)
def test_where_git_refuses_a_line_nothing_else_is_done(root, verb):
    done = typed(verb, "--no-such-option")
    assert (done.returncode, done.stdout) == (129, "")


LINES = [
    "blame input.yml",
    "blame -L/has/,+3 -wMC --contents --weights input.yml",
    "blame -s --max-tokens=x --json --question-file -- input.yml",
    "blame -- --weights",
    "blame --ignore-rev --weights HEAD~1 -- --weights",
    "bisect",
    "bisect start --term-good fast --term-bad slow HEAD v1 --no-checkout -- src --weights",
    "bisect run ./test.sh --weights --json --help",
    "bisect bad --weights",
    "bisect visualize --stat",
    "merge",
    "merge --no-ff -m --weights=cat --json exp",
    "merge -s ours -X --weights --force -- --weights",
    "merge --abort",
    "cherry-pick -x -n --force HEAD~1",
    "cherry-pick -X --weights HEAD -- --weights",
    "cherry-pick --continue",
    "rebase -i --autosquash --allow-empty --dry-run HEAD~3",
    "rebase --onto --base-model main topic",
    "rebase -x --base-model --json main -- --base-model",
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_without_weights_of_ours_is_gits_as_it_was_typed(asked, line):
    assert typed(*line.split()).returncode == 0
    assert asked.read_text(encoding="utf-8").splitlines() == [line]


@pytest.mark.parametrize("verb", WEIGHED)
def test_every_option_of_gits_reaches_git_where_weights_are_not_asked_for(options, asked, verb):
    words = [*options[verb], "-q", "HEAD~1", "--", "--weights"]
    assert typed(verb, *words).returncode == 0
    assert asked.read_text(encoding="utf-8").splitlines() == [" ".join([verb, *words])]
    assert not [word for word in options[verb] if word.startswith(("--weights", "--base"))]


@pytest.mark.parametrize(
    "line",
    [
        "blame --weights",
        "blame What --weights",
        "bisect --weights",
        "merge --weights",
        "merge --weights=svd exp",
        "merge exp --weights",
        "cherry-pick --weights",
        "cherry-pick exp --weights",
        "bisect --good x --weights run",
        "rebase --base-model",
        "rebase --base-model tiny main",
        "rebase main --base-model=no/such/place",
    ],
)
def test_a_line_with_weights_never_reaches_git(asked, line):
    assert typed(*line.split()).returncode in (2, 3, 5)
    assert not asked.exists()


@pytest.mark.parametrize(
    "line", ["diff -Sh", "diff HEAD -Ghello -- h", "show -Shello -s", "fetch -j4h", "revert -Sh"]
)
def test_a_value_that_holds_an_h_asks_for_no_help(root, line):
    done = typed(*line.split())
    theirs = subprocess.run(["git", *line.split()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (theirs.returncode, theirs.stdout)
    assert typed(line.split()[0], "-h").stdout.startswith(f"Usage: bgit {line.split()[0]} ")


SAID = {
    (): True,
    ("--no-dangling",): False,
    ("--no-dang",): False,
    ("--no-dangling", "--dangling"): True,
    ("--dangling", "--no-dangling"): False,
    ("--no-progress",): True,
}


@pytest.mark.parametrize("words", SAID, ids=" ".join)
def test_the_last_word_counts_as_it_does_for_git(words):
    assert raw.is_said(words, "dangling", unsaid=True) == SAID[words]


PRUNES = {
    (): None,
    ("--prune",): None,
    ("--prune=now",): "now",
    ("--prune=now", "--no-prune"): "never",
    ("--no-prune", "--prune=2.days.ago"): "2.days.ago",
    ("--prune=now", "--prune"): None,
}


@pytest.mark.parametrize("words", PRUNES, ids=" ".join)
def test_the_age_is_the_one_that_git_takes(words):
    assert gc_.pruned_before(words) == PRUNES[words]
