"""Misspelt words get the nearest name; what is git's stays git's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.repo.look import unknown
from bakery.repo.model_repo import ModelRepo
from bakery.spelling import nearest
from tests.support.commands import typed, typed_here
from tests.support.recorded import baked, configuration, git


@pytest.fixture
def repo(repo: ModelRepo, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A repository with the bakes pedal_bake and yoda_bake, in which the test stands."""
    monkeypatch.chdir(repo.root)
    baked(repo, "pedal_bake")
    baked(repo, "yoda_bake")
    (repo.root / "notes.txt").write_text("mine")
    git(repo.root, "add", "notes.txt")
    git(repo.root, "commit", "-qm", "Notes")
    git(repo.root, "branch", "experiment")
    return repo


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("rnu", ["run", "revert"], ["run"]),
        ("yoda_bkae", ["yoda_bake", "pirate_bake"], ["yoda_bake"]),
        ("shp", ["ship_target", "yoda_target"], ["ship_target"]),
        ("ship", ["ship_target", "shop_target"], ["ship_target"]),
        ("YODA", ["yoda", "pirate"], ["yoda"]),
        ("nothing", ["yoda", "pirate"], []),
        ("", ["yoda"], []),
        ("x" * 10_000, ["x"], []),
    ],
)
def test_the_nearest_names_come_first(word, known, expected):
    assert nearest(word, known, most=2) == expected


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("peddal", "Did you mean pedal_bake?"),
        ("expermient", "Did you mean experiment?"),
        ("note.txt", "Did you mean notes.txt?"),
        ("qqqq", "`bgit models --all` lists the models"),
        ("yoda_bake_target", "`bgit target yoda_bake_target` shows the target"),
    ],
)
def test_a_word_that_means_nothing_gets_the_nearest_of_both(repo, word, meant):
    with pytest.raises(RepoError, match=f"no model '{word}', and git knows nothing of") as caught:
        unknown.refuse(repo, [word])
    assert meant in (caught.value.hint or "")


@pytest.mark.parametrize("verb", ["show", "diff"])
def test_such_a_word_is_not_handed_to_git(repo, verb):
    done = typed(verb, "peddal")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Did you mean pedal_bake?" in done.stderr
    assert "ambiguous" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["experiment"],
        ["HEAD~1"],
        ["HEAD", "notes.txt"],
        ["notes.txt"],
        ["HEAD:notes.txt"],
        [":/Notes"],
        ["--stat", "peddal"],
        ["peddal..HEAD"],
        ["--", "gone.txt"],
        ["no such.txt"],
    ],
)
def test_what_git_understands_or_words_otherwise_is_git_s(repo, words):
    ours = typed("show", *words)
    assert (ours.returncode, ours.stdout, ours.stderr) == git_s(repo.root, "show", *words)


def test_two_things_of_git_s_are_compared_by_git(repo):
    ours = typed("diff", "HEAD~1", "experiment")
    assert (ours.returncode, ours.stdout, ours.stderr) == git_s(
        repo.root, "diff", "HEAD~1", "experiment"
    )


def git_s(root: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_first_digits_of_an_object_are_git_s(repo):
    blob = git(repo.root, "rev-parse", "HEAD:notes.txt")
    assert typed("show", blob[:7]).stdout == "mine"


@pytest.mark.parametrize("verb", ["chat", "adopt", "download", "reproduce", "metrics", "revert"])
def test_a_misspelt_model_gets_the_nearest(repo, verb):
    done = typed_here(verb, "yoda_bkae")
    assert done.exit_code == 3
    assert "there is no model 'yoda_bkae'" in done.stderr
    assert "ann/yoda/yoda_bake_" in done.stderr


def test_a_misspelt_branch_is_near_where_a_model_may_be_one(repo):
    with pytest.raises(BakeryError, match="no model 'experment'") as caught:
        repo.find_model("experment")
    assert "  experiment\n" in (caught.value.hint or "")


@pytest.mark.parametrize("words", [["target", "yda"], ["stim", "--target", "yoda_targt"]])
def test_a_misspelt_target_gets_the_nearest(repo, words):
    (repo.root / "input.yml").write_text(configuration("other"), encoding="utf-8")
    done = typed_here(*words)
    assert done.exit_code == 3
    assert "There is yoda_bake_target_" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "meant"),
    [
        (["rnu"], 1, "did you mean `bgit run`?"),
        (["stauts"], 1, "did you mean `bgit status`?"),
        (["bake"], 1, "did you mean `bgit run bake`?"),
        (["run", "rollot"], 2, "did you mean `rollout`? `bgit run --help`"),
        (["run", "--alow", "teacher"], 2, "--allow"),
        (["run", "--allow", "techer"], 2, "did you mean `teacher`?"),
        (["tree", "--branch", "expermient"], 3, "Did you mean experiment?"),
        (["completion", "bahs"], 2, "did you mean `bash`?"),
    ],
)
def test_a_misspelt_word_of_the_command_line_gets_the_nearest(repo, words, code, meant):
    done = typed_here(*words)
    assert (done.exit_code, meant in done.stderr) == (code, True), done.stderr


def test_a_misspelt_command_of_a_chat_gets_the_nearest():
    from bakery.ui.slash import obey
    from bakery.ui.typed import Typed

    with pytest.raises(ConfigError, match=r"there is no /tempreature: did you mean /temperature\?"):
        obey(None, Typed("/tempreature", ""))  # type: ignore[arg-type]
