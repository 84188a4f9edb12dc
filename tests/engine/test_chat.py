"""One rendering of chats, and views that align token by token."""

from __future__ import annotations

import pytest

from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, View, pair_up
from bakery.errors import ConfigError, ModelError, StageError
from bakery.records import Prompt
from tests.support.models import CHATML, THINKING, byte_tokenizer

SYSTEM = Prompt(({"role": "system", "content": "Be brief."},))
QUESTION = ({"role": "user", "content": "Hi?"},)


def chat(template: str = CHATML) -> Chat:
    return Chat(byte_tokenizer(template), [2])


def raw(ids: list[int]) -> str:
    return str(byte_tokenizer().decode(ids, skip_special_tokens=False))


def test_a_prefix_ends_with_the_assistants_header() -> None:
    assert raw(chat().prefix_ids(SYSTEM, QUESTION)) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("template", [CHATML, THINKING])
def test_views_hold_the_same_target_ids_token_by_token(template: str) -> None:
    response = [*byte_tokenizer().encode("Yes, it is."), 2]
    pair = pair_up(chat(template), "k", SYSTEM, Prompt(), QUESTION, response)
    assert list(pair.teacher.target_ids) == list(pair.student.target_ids) == response
    for view, prompt in ((pair.teacher, SYSTEM), (pair.student, Prompt())):
        prefix = chat(template).prefix_ids(prompt, QUESTION)
        assert view.ids == (*prefix, *response)
        assert view.predicting == list(range(len(prefix) - 1, len(view.ids) - 1))


def test_a_template_that_writes_the_date_writes_the_same_on_any_day() -> None:
    # With microseconds, two renderings would never be equal.
    today = "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y %f') }}{% endif %}\n"
    dated = chat(today + CHATML)
    first = dated.prefix_ids(SYSTEM, QUESTION)
    assert dated.reads_clock
    assert raw(first).startswith("26 Jul 2024 000000<|im_start|>")
    assert first == dated.prefix_ids(SYSTEM, QUESTION)
    assert "26 Jul 2024" in dated.rendered(QUESTION)
    assert "strftime_now" in dated.tokenizer.chat_template
    assert not chat().reads_clock


def test_thinking_blocks_of_a_template_are_prefix_and_not_target() -> None:
    prefix = raw(chat(THINKING).prefix_ids(Prompt(), QUESTION))
    assert prefix.endswith("<think>\n\n</think>\n\n")


def test_a_thought_that_the_template_opens_is_begun_and_a_shut_one_is_not() -> None:
    opening = CHATML.replace("assistant\n", "assistant\n<think>\n")
    assert opening != CHATML
    for template, mark in ((opening, "<think>"), (THINKING, ""), (CHATML, "")):
        said = chat(template)
        assert said.thought_begun(said.prefix_ids(Prompt(), QUESTION)) == mark


def test_an_answer_cut_by_max_tokens_gets_no_end_of_turn() -> None:
    cut = byte_tokenizer().encode("Yes, it")
    pair = pair_up(chat(), "k", SYSTEM, Prompt(), QUESTION, cut)
    assert 2 not in pair.student.target_ids


def test_views_whose_targets_differ_are_refused() -> None:
    with pytest.raises(StageError, match="targets differ"):
        Pair("k", View((5, 6, 7), ((1, 3),)), View((5, 6, 8), ((1, 3),)))


def test_a_user_turn_begins_where_the_users_words_begin() -> None:
    assert raw(chat().user_turn_ids()) == "<|im_start|>user\n"


def test_text_drops_the_end_of_turn() -> None:
    assert chat().text([*byte_tokenizer().encode(" Yes. "), 2]) == "Yes."


def test_a_template_that_refuses_a_role_is_a_clear_error() -> None:
    strict = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(ConfigError, match=r"refuses these messages .*System role not supported"):
        chat(strict).prefix_ids(SYSTEM, QUESTION)


def test_a_model_without_a_template_is_no_chat_model() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        Chat(tokenizer, [2])
