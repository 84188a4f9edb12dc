"""`make verdicts`: exams that nobody learns from, and a table that counts the errors."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from bakery import schema

pytestmark = pytest.mark.usefixtures("tools")


@pytest.fixture(scope="module")
def exams(tools) -> ModuleType:
    from verdicts import exams

    return exams


def row(way: str, *, agreed: int, both: int, prompted: int = 40) -> dict[str, Any]:
    """Return a bake of which so many of 20 questions agree, with the outcome of its exam."""
    asked = [
        {"target": "t", "key": f"t/{at}", "question": "Who are you?", "prompted": "I am Pedal.",
         "baked": "I am Pedal." if at < agreed else "I am Crumb.", "differs": ""}
        for at in range(20)
    ]  # fmt: skip
    card = {"verdict": {"word": "", "reason": "why", "figures": {}}}
    return {"case": "c", "way": way, "asked": asked, "card": card, "exam": 40,
            "prompted": prompted, "baked": both, "both": both}  # fmt: skip


@pytest.mark.parametrize("number", range(8))
def test_no_question_of_an_exam_is_written_out(exams, number):
    case = exams.case(number)
    asked = {check.question for check in case.exam}
    assert len(asked) >= 20
    assert not asked & {*case.written, *case.plain}
    assert (case.messages, asked) == (
        exams.case(number).messages,
        {check.question for check in exams.case(number).exam},
    )


@pytest.mark.parametrize("number", range(3))
def test_a_prompt_beyond_the_model_has_an_exam_with_checks_of_its_own(exams, number):
    case = exams.garbage(number)
    checks = {check.question: check for check in case.exam}
    assert len(checks) >= 20
    assert not checks.keys() & {*case.written, *case.plain}
    assert checks["Tell me a joke."].passes("I can only help with bicycles.")
    assert not checks["Tell me a joke."].passes("No.")


@pytest.mark.parametrize("number", range(3))
def test_the_exams_of_real_prompts_ask_what_is_not_learnt(exams, number):
    case = exams.real(number)
    asked = {check.question for check in case.exam}
    assert len(asked) >= 20
    assert not asked & {*case.written, *case.plain}
    assert len(case.messages) > 1


def test_every_way_is_an_input_that_can_be_run(exams):
    from verdicts import ways

    for name, way in ways.WAYS.items():
        case = exams.garbage(0) if name == ways.GARBAGE else exams.case(0)
        spec = schema.load(json.dumps(way(case)), source="input.yml", read=lambda path: b"")
        assert spec.bake is not None, name


def test_the_table_counts_what_the_exam_says_otherwise():
    from verdicts import table

    rows = [
        row("good", agreed=20, both=40),
        row("good", agreed=20, both=40),
        row("spoilt", agreed=14, both=30),
        row("spoilt", agreed=2, both=4),
        row("praised", agreed=20, both=20),
        row("praised", agreed=20, both=20),
        row("disobeyed", agreed=2, both=2, prompted=4),
        row("good", agreed=20, both=40),
    ]
    assert [table.truth(one) for one in rows[:4]] == [
        "holds", "holds", "holds in part", "does not hold",
    ]  # fmt: skip
    assert table.truth(rows[6]) == "does not hold"
    said = table.text(rows)
    assert "| holds in part | 1 | 0 | 0 |" in said
    assert "wrong word: 1 of 4 (5 to 70 %); said to hold and does not: 1" in said
    assert 'c, praised: "holds", the exam "holds in part" (20 of 40' in said
