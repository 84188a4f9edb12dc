"""`bgit bisect --weights`: a binary search over a chain, and what its tests may come to."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bakery.app import bisect as app
from bakery.app.bisect import Check, Link, Tried, search
from bakery.errors import ConfigError, RepoError
from bakery.repo.model_repo import ModelRepo
from tests.support import recorded
from tests.support.commands import typed_here


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the repository is made by the first test that needs it, for copies only."""
    return tmp_path_factory.mktemp("chain") / "yoda"


@pytest.fixture
def repo(once: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A repository with five bakes on each other and one beside them, without any weights."""
    if not once.exists():
        made = recorded.made(once)
        for name in ("one", "two", "three", "four", "five"):
            recorded.baked(made, name)
            if name == "one":
                recorded.git(made.root, "branch", "other")
        recorded.git(made.root, "switch", "-q", "other")
        recorded.baked(made, "beside")
        recorded.git(made.root, "switch", "-q", "main")
    shutil.copytree(once, workplace / "yoda", symlinks=True)
    monkeypatch.chdir(workplace / "yoda")
    return ModelRepo.find()


@pytest.mark.parametrize("count", range(1, 18))
def test_every_first_bad_model_is_found_in_as_few_tests_as_halving_takes(count):
    for first in range(count):
        asked: list[int] = []

        def state(at: int, left: int, first: int = first, asked: list[int] = asked) -> app.State:
            asked.append(at)
            return "bad" if at >= first else "good"

        assert search(count, state) == (first, [first])
        assert len(asked) == len(set(asked)) <= (count - 1).bit_length()


@pytest.mark.parametrize(
    ("states", "found"),
    [
        ("gsb", [1, 2]),
        ("sssb", [0, 1, 2, 3]),
        ("gsgb", [3]),
        ("gbsb", [1]),
        ("gssbb", [1, 2, 3]),
    ],
)
def test_what_cannot_be_tested_is_gone_around(states, found):
    named: dict[str, app.State] = {"g": "good", "b": "bad", "s": "skip"}
    assert search(len(states), lambda at, left: named[states[at]])[1] == found


def named(link: Link) -> str:
    return link.bake.base_name if link.bake else "base"


def test_a_chain_begins_where_it_is_said_to_be_good(repo):
    assert [named(one) for one in app.chain(repo).links] == [
        "base", "one", "two", "three", "four", "five",
    ]  # fmt: skip
    assert [named(one) for one in app.chain(repo, "two", "four").links] == ["two", "three", "four"]
    with pytest.raises(RepoError, match="was not baked on beside"):
        app.chain(repo, "beside", "four")
    with pytest.raises(RepoError, match="is the base model"):
        app.chain(repo, "one", "base")
    with pytest.raises(ConfigError, match="the same model"):
        app.chain(repo, "two", "two")


def test_a_parent_of_which_a_step_on_the_way_was_taken_is_tested_at_that_step(repo):
    for link, after in zip(app.chain(repo).links[1:], app.chain(repo).links[2:], strict=False):
        assert after.bake is not None
        assert link.name == str(after.bake.parent)


@pytest.mark.parametrize(
    ("states", "told"), [("gggggg", "five_.* is not bad but good"), ("bbbbbb", "is not good but")]
)
def test_ends_that_are_not_what_was_said_are_refused(repo, states, told):
    found = app.chain(repo)
    named: dict[str, app.State] = {"g": "good", "b": "bad"}

    def test(link: Link) -> Tried:
        return Tried(link.name, named[states[found.links.index(link)]], "so")

    with pytest.raises(RepoError, match=told) as refused:
        app.bisect(found, test)
    due, first = ("bad", found.links[-2]) if states[0] == "g" else ("good", found.links[1])
    assert f"Try one of: --{due} {first.name}, --{due} " in refused.value.hint
    assert "and 1 more." in refused.value.hint

    with pytest.raises(RepoError) as refused:
        app.bisect(app.chain(repo, "base", "one"), lambda link: Tried(link.name, "skip", "so"))
    assert "no model between the two to be named by --bad" in refused.value.hint


def is_there(repo: ModelRepo, link: Link) -> None:
    """Take every model for one that this clone has."""


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every model for one whose weights are here: none of them is read."""
    monkeypatch.setattr(app, "_missing", is_there)


SCRIPT = (
    "import os, sys\n"
    "name = os.environ['BGIT_MODEL']\n"
    "assert name == sys.argv[1]\n"
    "print('tested', name)\n"
    "sys.exit({'three': 1, 'four': 7, 'five': 124, 'two': int(sys.argv[2])}\n"
    "         .get(name.split('/')[-2][:-17] if '/' in name else '', 0))\n"
)


def run(repo: ModelRepo, two: int, *options: str) -> tuple[int, str]:
    (repo.root / "test.py").write_text(SCRIPT)
    command = [sys.executable, "test.py", "{model}", str(two)]
    done = typed_here("bisect", "--weights", *options, "run", *command)
    return done.exit_code, done.output


@pytest.mark.usefixtures("whole")
def test_a_command_is_told_the_model_and_judged_by_its_exit_code(repo):
    code, out = run(repo, 0)
    assert code == 0
    assert f"{repo.find_model('three').model} is the first bad bake\n" in out
    assert f"baked on  {repo.find_model('two').model}\n" in out
    code, out = run(repo, 1)
    assert f"{repo.find_model('two').model} is the first bad bake\n" in out


@pytest.mark.usefixtures("whole")
def test_where_only_skipped_models_are_left_they_are_named(repo):
    code, out = run(repo, 125)
    assert code == 1
    names = [str(repo.find_model(name).model) for name in ("two", "three")]
    assert "The first bad bake could be any of:\n" + "\n".join(names) in out


@pytest.mark.usefixtures("whole")
def test_a_command_that_says_nothing_of_a_model_ends_the_search(repo):
    code, out = run(repo, 129)
    assert code == 2
    assert "ended with 129" in out
    done = typed_here("bisect", "--weights", "run", "no-such-program")
    assert (done.exit_code, "no-such-program cannot be run" in done.output) == (2, True)


@pytest.mark.usefixtures("whole")
def test_in_json_the_document_is_all_there_is(repo, capfd):
    (repo.root / "test.py").write_text(SCRIPT)
    command = [sys.executable, "test.py", "{model}", "0"]
    done = typed_here("bisect", "--weights", "--good", "one", "--json", "run", *command)
    data = json.loads(done.stdout)
    assert data["schema"] == 1
    assert data["first_bad"] == str(repo.find_model("three").model)
    assert [one["state"] for one in data["tried"]] == ["bad", "good", "bad", "good"]
    assert "tested" in capfd.readouterr().err


def test_a_model_whose_weights_are_not_here_is_skipped_and_not_taken_for_bad(repo):
    test = app.by_command(repo, [sys.executable, "-c", "raise SystemExit(1)"])
    found = [test(link) for link in app.chain(repo).links]
    assert [one.state for one in found] == ["bad", *["skip"] * 5]
    assert "not in this clone's store" in found[1].why


@pytest.mark.parametrize(
    ("options", "answer", "holds"),
    [
        ({"contains": "Arr"}, "ARR, matey", True),
        ({"contains": "Arr"}, "Hello", False),
        ({"not_contains": "arr"}, "Arr, matey", False),
        ({"not_contains": "arr"}, "Hello", True),
        ({"regex": r"^\d+$"}, "42", True),
        ({"regex": "arr"}, "Arr", False),
        ({"contains": "4", "not_contains": "5"}, "45", False),
    ],
)
def test_an_answer_is_good_where_it_holds_what_is_asked_for(options, answer, holds):
    assert Check("?", **options).holds(answer) is holds


@pytest.mark.parametrize("options", [{}, {"regex": "("}])
def test_a_check_that_says_nothing_is_refused(options):
    with pytest.raises(ConfigError):
        Check("?", **options)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["start"],
        ["--question", "Who?"],
        ["--question", "Who?", "--contains", "x", "run", "true"],
        ["--contains", "x", "run", "true"],
        ["--no-such-option", "run", "true"],
    ],
)
def test_a_line_that_does_not_say_how_to_test_is_refused(repo, words):
    assert typed_here("bisect", "--weights", *words).exit_code == 2
