"""What counts as the right answer to a question."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from bakery.distil.keywords import QuestionAnswer, answer_of, ask, is_correct, score
from bakery.engine.text.chat import Chat
from bakery.records import Prompt
from tests.support.models import CHATML, make_model


@pytest.mark.parametrize(
    ("response", "accepted", "right"),
    [
        ("It is Paris.", ("Paris",), True),
        ("it is PARIS!", ("paris",), True),
        ("The answer is 10.", ("1",), False),
        ("The answer is 1.", ("1",), True),
        ("Comparison", ("Paris",), False),
        ("New\n York", ("new york",), True),
        ("It is blue.", ("red", "blue"), True),
        ("It is C++.", ("C++",), True),
        ("<think>Paris? No.</think>London.", ("Paris",), False),
        ("Paris? No.</think>London.", ("London",), True),
        ("<think>It may be Paris", ("Paris",), False),
    ],
)
def test_whole_words_of_the_answer_decide(
    response: str, accepted: tuple[str, ...], right: bool
) -> None:
    assert is_correct(response, accepted) is right


@pytest.mark.parametrize(
    ("response", "accepted"),
    [
        ("首都是东京。", "东京"),
        ("それは東京です", "東京"),
        ("ラーメン屋です", "ラーメン"),
        ("수도는 서울입니다", "서울"),
        ("เมืองหลวงคือกรุงเทพครับ", "กรุงเทพ"),
        ("ភ្នំពេញជារាជធានី", "ភ្នំពេញ"),
        ("မြန်မာနိုင်ငံ", "မြန်မာ"),
        ("他在USA学习", "usa"),
        ("答えは5個です", "5"),
    ],
)
def test_where_words_have_no_spaces_between_them_a_keyword_stands_anywhere(
    response: str, accepted: str
) -> None:
    assert is_correct(response, [accepted])


@pytest.mark.parametrize(
    ("response", "accepted"),
    [
        ("Le Cafe\u0301.", "caf\u00e9"),
        ("２０２４年", "2024"),
        ("It is −5.", "-5"),
        ("STRASSE", "Straße"),
        ("It is _Paris_, __3__ times.", "Paris"),
        ("I don’t know.", "don't"),
        ("Pa\u00adris", "Paris"),
    ],
)
def test_equal_ways_to_write_a_text_are_equal(response: str, accepted: str) -> None:
    assert is_correct(response, [accepted])


@pytest.mark.parametrize(
    ("response", "accepted", "right"),
    [
        ("It is 3.", "3", True),
        ("It is 3.14159.", "3", False),
        ("It is 3.14159.", "14159", False),
        ("It is 3.14.", "3.14", True),
        ("It is 42.5", "42", False),
        ("It is .5", "5", False),
        ("It is...5", "5", True),
        ("It is -5.", "5", False),
        ("It is −5.", "5", False),
        ("答えは-5", "5", False),
        ("It is -5.", "-5", True),
        ("3-5 days", "5", True),
        ("It is 8 - 5.", "5", True),
        ("It is 1e-5.", "5", False),
        ("It is 1,000.", "1000", True),
        ("It is 1000.", "1,000", True),
        ("It is 1,234,567.8", "1234567", False),
        ("It is 1,000.", "1", False),
        ("It is 1,000.", "000", False),
        ("1,2,3", "2", True),
        ("It costs $3.50", "$3", False),
        ("It is 2.5 km", "5 km", False),
        ("It is Python 3.11", "Python 3", True),
    ],
)
def test_a_number_is_no_part_of_a_longer_one(response: str, accepted: str, right: bool) -> None:
    assert is_correct(response, [accepted]) is right


def test_reasoning_is_no_answer() -> None:
    assert answer_of("<think>so\nmuch</think>\n\nYes.") == "Yes."


def test_reasoning_that_the_template_begins_is_no_answer(tmp_path: Path) -> None:
    ending = "assistant\n{% endif %}"
    template = CHATML.replace(ending, ending.replace("{%", "<think>\n{%"))
    folder = make_model(tmp_path / "model", template=template)
    model = AutoModelForCausalLM.from_pretrained(folder)
    chat = Chat(AutoTokenizer.from_pretrained(folder), [0])
    (said,) = ask(model, chat, ["a?"], Prompt(()), max_new_tokens=4)
    assert said.startswith("<think>")
    assert answer_of(said) == ""


def test_a_score_counts_and_keeps_what_was_said() -> None:
    pairs = [QuestionAnswer("a?", ("yes",)), QuestionAnswer("b?", ("yes",))]
    found = score(pairs, ["Yes.", "No." + "x" * 300])
    assert (found["accuracy"], found["correct"], found["total"]) == (0.5, 1, 2)
    assert len(found["results"][1]["response"]) == 200
