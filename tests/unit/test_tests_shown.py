"""What `bgit test` prints of answers that were given, and what JUnit has of them."""

from __future__ import annotations

import pytest

from bakery.app.testing import Results, Row
from bakery.evals.checks import Answer, Outcome
from bakery.schema.tests import Case
from bakery.ui.test import show_results

SIDES = ("base", "prompted", "parent", "baked")


def row(name: str | None, passes: str, *, at: int = 1) -> Row:
    """A test of which the sides that `passes` names are as they should be."""
    case = Case(name=name, question=f"What is number {at}?", contains="one")
    answers = {side: Answer(f"{side} says", 2) for side in SIDES}
    outcomes = {side: [Outcome("contains", side in passes.split(), "lacks one")] for side in SIDES}
    return Row(name or f"test-{at}", case, answers, outcomes)


def shown(capsys: pytest.CaptureFixture[str], *rows: Row) -> list[str]:
    show_results(Results("pip", "tests.yml", None, rows))
    return capsys.readouterr().out.splitlines()


def test_what_is_lost_comes_first_and_the_prompt_s_own_is_marked(capsys) -> None:
    out = shown(capsys, row(None, ""), row("greets_them", "prompted", at=2))
    assert out[0].split() == ["test", "question", "base", "prompted", "parent", "baked"]
    assert out[1].split()[0] == "test-1"
    assert out[1].split()[-4:] == ["fails", "fails", "fails", "prompt's"]
    assert out[2].split()[0] == "greets_them"
    assert out[2].split()[-4:] == ["fails", "passes", "fails", "LOST"]
    assert max(map(len, out[:3])) <= 80
    titles = [line for line in out if line.endswith("?") and ": " in line]
    assert [line.partition(":")[0] for line in titles] == ["greets_them", "test-1"]


def test_where_nobody_names_a_test_its_question_has_the_room(capsys) -> None:
    out = shown(capsys, row(None, "base prompted baked"))
    assert out[0].split() == ["question", "base", "prompted", "parent", "baked"]
    long = row("a_name_that_nobody_would_have_at_their_door", "prompted baked")
    assert max(map(len, shown(capsys, long)[:2])) <= 80
