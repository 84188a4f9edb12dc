"""What counts as the right answer to a question."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from bakery.engine.chat import Chat
from bakery.evals.keywords import QuestionAnswer, answer_of, ask, is_correct, score
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


def test_reasoning_is_no_answer() -> None:
    assert answer_of("<think>so\nmuch</think>\n\nYes.") == "Yes."


def test_reasoning_that_the_template_begins_is_no_answer(tmp_path: Path) -> None:
    ending = "assistant\n{% endif %}"
    template = CHATML.replace(ending, ending.replace("{%", "<think>\n{%"))
    folder = make_model(tmp_path / "model", template=template)
    model = AutoModelForCausalLM.from_pretrained(folder)
    chat = Chat(AutoTokenizer.from_pretrained(folder), [0])
    (said,) = ask(model, chat, ["a?"], Prompt(()), max_new_tokens=4, end_ids=frozenset())
    assert said.startswith("<think>")
    assert answer_of(said) == ""


def test_a_score_counts_and_keeps_what_was_said() -> None:
    pairs = [QuestionAnswer("a?", ("yes",)), QuestionAnswer("b?", ("yes",))]
    found = score(pairs, ["Yes.", "No." + "x" * 300])
    assert (found["accuracy"], found["correct"], found["total"]) == (0.5, 1, 2)
    assert len(found["results"][1]["response"]) == 200
