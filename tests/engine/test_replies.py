"""What of a reply that is a list becomes a question, and what does not."""

from __future__ import annotations

import pytest

from bakery.backends.base import Reply
from bakery.generators import oneshot


def listed(text: str, *, finished: bool = True) -> tuple[list[str], list[str]]:
    """Return the questions of a list, and the reasons for what is none."""
    accepted, rejected = oneshot.sift([Reply(text, finished)], set(), list_like=True)
    return accepted, [why for _, why in rejected]


def test_a_numbered_list_is_taken_apart_and_its_cut_end_left_out() -> None:
    reply = Reply('Sure!\n1. What is salt?\n2) "Who are you?"\n3. How do', finished=False)
    accepted, rejected = oneshot.sift([reply], set(), list_like=True)
    assert accepted == ["What is salt?", "Who are you?"]
    assert rejected == [("How do", "cut off")]


@pytest.mark.parametrize(
    "text",
    ['["a?", "b?"]', '```json\n["a?",\n "b?"]\n```', '{"questions": ["a?", "b?"]}'],
)
def test_a_list_in_json_is_a_list_of_questions(text: str) -> None:
    accepted, rejected = oneshot.sift([Reply(text, finished=True)], set(), list_like=True)
    assert (accepted, rejected) == (["a?", "b?"], [])


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nOkay, the user wants questions.\n</think>\n\n1. a?\n2. b?",
        "Okay, the user wants questions.\nSome more?\n</think>\n\na?\nb?",
        '<think>["x?"]</think>["a?", "b?"]',
        "1. a?\n<think>hm</think>\n2. b?",
    ],
)
def test_what_a_writer_thinks_is_no_question(text: str) -> None:
    assert listed(text) == (["a?", "b?"], [])


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("<think>\nOkay, the user wants\n1. variety", []),
        ("<think>What is salt?</think>", []),
        ("1. a?\n<think>\nWhat next", ["a?"]),
    ],
)
def test_a_thought_without_a_list_behind_it_is_left_out_with_its_reason(
    text: str, accepted: list[str]
) -> None:
    assert listed(text, finished=False) == (accepted, ["only thinking"])


def test_a_question_may_be_about_the_mark_of_thinking() -> None:
    asked = ["What does <think> mean?", "And </think>?"]
    assert listed("\n".join(f"{i}. {q}" for i, q in enumerate(asked, 1))) == (asked, [])


@pytest.mark.parametrize(
    "text",
    [
        'Sure, here they are:\n```json\n["a?", "b?"]\n```\nHope this helps!',
        'Here they are: ["a?", "b?"]',
        'Here they are: [\n  "a?",\n  "b?"\n]\nAll of them:\n- short\n- new',
        '[\n  "a?",\n  "b?",\n]',
        '[["a?"], ["b?"]]',
        '[{"question": "a?", "tags": ["x"]}, {"text": "b?",}]',
        '[{"n": 1, "q": "a?"}, {"role": "user", "content": "b?"}]',
        '{"question": "a?"}\n{"question": "b?"}',
        '{"topic": "salt", "questions": ["a?", "b?"], "count": 2}',
        '{"short": ["a?"], "long": ["b?"]}',
    ],
)
def test_a_list_in_json_is_found_in_whatever_stands_around_it(text: str) -> None:
    assert listed(text) == (["a?", "b?"], [])


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('["a?", "b?", "c', ["cut off"]),
        ('["a?", "b?"', []),
        ('```json\n[\n  "a?",\n  "b?",\n  "c', ["cut off"]),
        ('[{"question": "a?"}, {"question": "b?"}, {"question": "c', ["cut off"]),
        ('{"short": ["a?"], "long": ["b?", "c', ["cut off"]),
        ('{"question": "a?"}\n{"question": "b?"}\n{"question": "c', ["cut off"]),
    ],
)
def test_of_a_list_in_json_that_is_cut_off_the_whole_questions_are_kept(
    text: str, reasons: list[str]
) -> None:
    assert listed(text, finished=False) == (["a?", "b?"], reasons)


def test_what_cannot_be_read_of_a_list_in_json_is_left_out_with_its_reason() -> None:
    broken = '[\n"Translate "hello" to French",\n"a?",\n"b?"\n]'
    assert listed(broken) == (["a?", "b?"], ["broken JSON"])
    assert listed("['a?', 'b?']") == ([], ["broken JSON"])
    assert listed('{"question": "What "is" it?"}\n{"question": "a?"}') == (["a?"], ["broken JSON"])
    assert listed('["a?", {"x": "1", "y": "2"}, 3]') == (["a?"], ["not one message"] * 2)
    assert listed('{"questions": []}') == ([], [])


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '["' * 50_000, '[{"a":' * 50_000, '[["a?"], ' + "[" * 100_000]
)
def test_json_deeper_than_any_reader_goes_is_no_question(text: str) -> None:
    accepted, reasons = listed(text)
    assert set(accepted) <= {"a?"}
    assert set(reasons) <= {"broken JSON", "not one message"}


@pytest.mark.parametrize(
    "asked",
    [
        ['Sort ["b", "a"]', "What is salt?"],
        ['["a", "b"]: what is this?', "[urgent] Where are you?"],
        ['Translate "hello world"', '"Yes" or "no"'],
        ["What is\u2028this?", "And\x0cthat?"],
        ["東京は?", "สวัสดี"],
    ],
)
@pytest.mark.parametrize("line", ["{}", "1. {}"])
def test_a_question_keeps_its_quotes_brackets_and_odd_spaces(line: str, asked: list[str]) -> None:
    assert listed("\r\n".join(line.format(question) for question in asked)) == (asked, [])


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ('- "Who are you?"', "Who are you?"),
        ('"Who are you?",', "Who are you?"),
        ('"Say "hi" now"', 'Say "hi" now'),
        ('"Who are you?', '"Who are you?'),
        ('Say "hi"', 'Say "hi"'),
    ],
)
def test_quotes_around_a_question_go_in_pairs(line: str, question: str) -> None:
    assert listed(line) == ([question], [])


def test_json_shown_in_a_longer_list_of_lines_is_no_list_of_its_own() -> None:
    text = '1. What is wrong here?\n["b", "a"]\n2. What is salt?\n3. Who are you?'
    assert listed(text)[0] == ["What is wrong here?", "What is salt?", "Who are you?"]


def test_lines_without_a_letter_or_a_digit_are_no_questions() -> None:
    text = "```text\na?\n---\n[\n؟\n2\n```"
    assert listed(text) == (["a?", "2"], ["not one message"] * 5)
