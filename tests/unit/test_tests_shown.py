"""What `bgit test` prints of answers that were given, and what JUnit has of them."""

from __future__ import annotations

import pytest

from bakery.app import junit
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


def test_what_the_prompted_model_fails_may_be_the_test_s_fault_and_stops_where_that_is_asked_for(
    capsys,
) -> None:
    out = shown(capsys, row(None, ""), row("kept", "prompted baked"))
    assert "1 that the prompted model itself fails: change the prompt, or the test." in " ".join(
        out
    )
    found = Results("pip", "tests.yml", None, [row(None, "")])
    assert found.passes()
    assert not found.passes(strict=True)
    assert Results("pip", "tests.yml", None, [row("kept", "prompted baked")]).passes(strict=True)


def test_where_nobody_names_a_test_its_question_has_the_room(capsys) -> None:
    out = shown(capsys, row(None, "base prompted baked"))
    assert out[0].split() == ["question", "base", "prompted", "parent", "baked"]
    long = row("a_name_that_nobody_would_have_at_their_door", "prompted baked")
    assert max(map(len, shown(capsys, long)[:2])) <= 80


def test_of_several_turns_all_are_shown_with_what_each_side_said(capsys) -> None:
    turns = [
        {"role": "user", "content": "I'm Ann."},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "Like helmets?"},
        {"role": "assistant"},
        {"role": "user", "content": "Who am I?"},
    ]
    case = Case(messages=turns, contains="Ann")
    answers = {side: Answer(f"{side} answers", 2, before=(f"{side} likes",)) for side in SIDES}
    outcomes = {side: [Outcome("contains", side == "prompted", "no Ann")] for side in SIDES}
    long = Row("test-1", case, answers, outcomes)
    out = shown(capsys, long)
    talk = [line.split(maxsplit=1) for line in out[out.index("test-1: Who am I?") + 2 : -3]]
    assert talk == [
        ["user", "I'm Ann."],
        ["assistant", "Hi!"],
        ["user", "Like helmets?"],
        ["prompted", "prompted likes"],
        ["baked", "baked likes"],
        ["user", "Who am I?"],
        ["prompted", "prompted answers"],
        ["baked", "baked answers"],
    ]
    text = junit.text(Results("pip", "tests.yml", None, [long]))
    assert "user: I'm Ann.\nassistant: Hi!\nuser: Like helmets?\nbase: base likes\n" in text
    assert "user: Who am I?\nbase: base answers\n" in text
    assert long.as_data()["sides"]["baked"]["before"] == ["baked likes"]
    short = row("short", "prompted")
    assert "before" not in short.as_data()["sides"]["baked"]
    assert "question: What is number 1?\nbase: base says" in junit.text(
        Results("pip", "tests.yml", None, [short])
    )
