"""Where an answer comes from: blame, bisect and diff on a chain that was really baked."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest

from tests.e2e.conftest import Typist
from tests.support.commands import typed_here

QUESTION = "q1 what?"


@pytest.fixture
def here(baked: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """Stand in a repository with two bakes."""
    for name, value in baked.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(baked.root)
    return baked


def must(*words: str) -> str:
    done = typed_here(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def data(*words: str) -> Any:
    return json.loads(must(*words, "--json"))


def answered(model: str, most: int) -> str:
    (line,) = must("chat", model, "-m", QUESTION, "--max-tokens", str(most), "--json").splitlines()
    return str(json.loads(line)["answer"]).strip()


def test_without_a_bake_is_what_the_chain_without_it_says(here):
    found = data("blame", "--weights", QUESTION, "--max-tokens", "12")
    (asked,) = found["questions"]
    first, second = asked["without"]
    assert [row["bake"][:-17] for row in (first, second)] == ["first", "second"]
    assert asked["answer"] == answered("second", 12)
    assert second["answer"] == answered("first", 12)
    assert asked["without_all"]["answer"] == answered("base", 12)
    changed = [row for row in (first, second) if not row["is_same"]]
    most = max(changed or (first, second), key=lambda row: row["kl"])
    assert found["culprit"] == asked["culprit"] == most["bake"]
    assert found["behind"] == {row["bake"]: int(row is most) for row in (first, second)}
    assert 0 <= first["kl"] <= first["worst"]
    alone = data("blame", "--weights", QUESTION, "first", "--max-tokens", "12")
    (row,) = alone["questions"][0]["without"]
    assert {**row, "bake": ""} == {**alone["questions"][0]["without_all"], "bake": ""}


def test_the_table_names_the_culprit_in_a_line(here):
    (here.root / "q.txt").write_text("q1 what?\n\nq2 what?\n")
    out = must("blame", "--weights", "--question-file", "q.txt")
    assert out.count("answer without it") == 2
    assert out.count("all of them") == 2
    assert " nats per token" in out
    assert " of 2 answers." in out.splitlines()[-1]


def test_who_carries_no_bake_is_not_blamed(here):
    done = typed_here("blame", "--weights", QUESTION, "base")
    assert (done.exit_code, "carries no bake" in done.output) == (2, True)
    assert typed_here("blame", "--weights").exit_code == 2
    assert typed_here("blame", "--weights", "a", "b", "c").exit_code == 2


def test_bisect_by_a_question_asks_the_chain_as_it_was(here):
    words = ("--question", QUESTION, "--max-tokens", "12")
    first, second = answered("first", 12), answered("second", 12)
    pattern = f"^{re.escape(first)}$"  # what the first bake says, and the second no longer
    found = data("bisect", "--weights", *words, "--regex", pattern, "--good", "first")
    assert found["bake"].startswith("second_")
    assert [one["why"] for one in found["tried"]] == [second, first]


def test_diff_measures_weights_and_behaviour(here):
    found = data("diff", "--weights", "--behaviour")
    assert found["old"].split("/")[2].startswith("first_")
    weights = found["weights"]
    assert weights["whole"]["apart"] > 0
    assert len(weights["layers"]) == 2
    behaviour = found["behaviour"]
    assert behaviour["from_store"]
    assert [one["kl"] for one in behaviour["asked"]] == sorted(
        (one["kl"] for one in behaviour["asked"]), reverse=True
    )
    assert "prompts" in found
    text = must("diff", "--weights", "--behaviour", "base", "second")
    assert text.startswith("--- ")
    assert "Weights" in text
    assert "questions of their targets" in text


def test_diff_asks_general_questions_where_no_other_is_here(here):
    shutil.rmtree(here.store / "stim")
    found = data("diff", "--behaviour")
    assert not found["behaviour"]["from_store"]
    assert len(found["behaviour"]["asked"]) == 3
    done = typed_here("diff", "--behaviour", "second", "parent")
    assert (done.exit_code, "the same model on both sides" in done.output) == (2, True)
