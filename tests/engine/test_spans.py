"""Targets in rendered text: thoughts, tool calls, odd tokenizers, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from bakery.engine.text.chat import Chat
from bakery.engine.text.spans import target_view
from bakery.engine.text.views import View
from bakery.errors import ModelError, StageError
from bakery.records import Message
from tests.support.models import CHATML, byte_tokenizer
from tests.support.templates import chat_of

ASK = {"role": "user", "content": "Hi?"}
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
OPENS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
CALL = {"type": "function", "function": {"name": "now", "arguments": {"zone": "UTC"}}}


def answer(content: str | None, **fields: Any) -> Message:
    return {"role": "assistant", "content": content, **fields}


def spans(chat: Chat, view: View) -> list[str]:
    return [chat.decoded(view.ids[start:stop]) for start, stop in view.spans]


def last(chat: Chat, *messages: Message, chosen: list[tuple[int, int]] | None = None) -> list[str]:
    """Return the targets of the last message."""
    return spans(chat, target_view(chat, messages, (), {len(messages) - 1: chosen}))


def with_template(template: str) -> Chat:
    return Chat(byte_tokenizer(template), [2])


def merging(template: str, *merges: tuple[str, str], trim: bool = False) -> Chat:
    """Return a chat whose tokens can be longer than a byte, and cross what the template adds."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {t: i for i, t in enumerate([*alphabet, *("".join(m) for m in merges)])}
    tokenizer = Tokenizer(BPE(vocab=vocab, merges=list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.chat_template = template
    return Chat(fast, [])


@pytest.mark.parametrize("shape", ["chatml", "thinking"])
def test_a_thought_that_the_data_has_is_a_target_with_its_answer(shape: str) -> None:
    said = "<think>\nLet me see.\n</think>\n\nYes."
    assert last(chat_of(shape), ASK, answer(said)) == [f"{said}<|im_end|>"]


def test_a_thought_is_a_target_as_the_template_writes_it() -> None:
    chat = chat_of("thinking")
    written = "<think>\nLet me see.\n</think>\n\nYes.<|im_end|>"
    assert last(chat, ASK, answer("<think>Let me see.</think>Yes.")) == [written]
    assert last(chat, ASK, answer("Yes.", reasoning_content="Let me see.")) == [written]


def test_an_empty_thought_is_the_templates() -> None:
    said = "<think>\n\n</think>\n\nYes."
    assert last(chat_of("thinking"), ASK, answer(said)) == ["Yes.<|im_end|>"]
    assert last(chat_of("thinking"), ASK, answer("Yes.")) == ["Yes.<|im_end|>"]


def test_a_thought_that_the_template_opens_begins_with_its_first_word() -> None:
    said = "<think>\nLet me see.\n</think>\n\nYes."
    assert last(with_template(OPENS), ASK, answer(said)) == [
        "Let me see.\n</think>\n\nYes.<|im_end|>"
    ]


def test_a_thought_that_the_template_shuts_is_no_target() -> None:
    said = "<think>\n\n</think>\n\nYes."
    shuts = with_template(OPENS.replace("<think>\n", "<think>\n\n</think>\n\n"))
    assert last(shuts, ASK, answer(said)) == ["Yes.<|im_end|>"]


def test_space_after_a_rewritten_thought_parts_no_end_of_turn() -> None:
    written = "<think>\nLet me see.\n</think>\n\nYes.\n<|im_end|>"
    chat = chat_of("thinking")
    assert last(chat, ASK, answer("<think>Let me see.</think>Yes.\n")) == [written]


def test_a_thought_that_the_template_drops_is_refused() -> None:
    drops = CHATML.replace("m['content']", "m['content'].split('</think>')[-1]")
    with pytest.raises(StageError, match=r"does not show all of message 2 \(assistant\)"):
        last(with_template(drops), ASK, answer("<think>Hm.</think>Yes."))
    with pytest.raises(StageError, match=r"does not show all of message 2 \(assistant\)"):
        last(chat_of("chatml"), ASK, answer("Yes.", reasoning_content="Hm."))


def test_a_match_in_a_rewritten_thought_is_found_in_thought_and_answer() -> None:
    said = "<think>see 42</think>So: 42"
    at = [(i, i + 2) for i in range(len(said)) if said.startswith("42", i)]
    chat = chat_of("thinking")
    assert last(chat, ASK, answer(said), chosen=at) == ["42", "42"]


def test_a_match_across_a_thoughts_end_is_found_where_nothing_is_rewritten() -> None:
    said = "<think>\nsee 42\n</think>\n\nSo: 42"
    across = (said.index("42"), said.index("So") + 2)
    assert last(chat_of("thinking"), ASK, answer(said), chosen=[across]) == ["42\n</think>\n\nSo"]


@pytest.mark.parametrize(
    ("shape", "before", "after"),
    [
        ("thinking", "\n<tool_call>\n", "\n</tool_call>"),
        ("default_system", "<tool_call>", "</tool_call>"),
    ],
)
def test_a_tool_call_is_a_target_up_to_its_end_of_turn(shape: str, before: str, after: str) -> None:
    called = f'{before}{{"name": "now", "arguments": {{"zone": "UTC"}}}}{after}'
    chat = chat_of(shape)
    assert last(chat, ASK, answer("Wait.", tool_calls=[CALL, CALL])) == [
        f"Wait.{called}{called}<|im_end|>"
    ]
    # Empty thoughts and what parts them from an answer are the template's.
    (alone,) = last(chat, ASK, answer(None, tool_calls=[CALL]))
    assert alone == f"{called.lstrip()}<|im_end|>"


def test_a_tool_call_that_the_template_drops_is_refused() -> None:
    with pytest.raises(StageError, match=r"does not show all of message 2"):
        last(chat_of("chatml"), ASK, answer("Wait.", tool_calls=[CALL]))


def test_a_role_that_the_template_drops_is_refused() -> None:
    with pytest.raises(StageError, match=r"does not show all of message 2 \(tool\)"):
        last(chat_of("system_to_last_user"), ASK, {"role": "tool", "content": "12:00"})


@pytest.mark.parametrize("change", [" | upper", ".replace('e', 'a')", " | tojson", " | reverse"])
def test_a_text_that_the_template_changes_is_refused(change: str) -> None:
    chat = with_template(CHATML.replace("m['content']", f"m['content']{change}", 1))
    with pytest.raises(StageError, match=r"changes the text|does not show all"):
        last(chat, ASK, answer('Say "yes".'))


def test_a_text_that_the_template_shows_twice_is_refused() -> None:
    twice = with_template(CHATML.replace("m['content'] }}", "m['content'] ~ m['content'] }}", 1))
    with pytest.raises(StageError, match="place is not certain"):
        last(twice, ASK, answer("Yes."))


def test_names_and_private_characters_pass_through() -> None:
    named = with_template(CHATML.replace("m['role'] }}", "m['role'] }} {{ m['name'] }}", 1))
    ask = {"role": "user", "name": "Ann", "content": "\U000f0000 and \U000f0001?"}
    view = target_view(named, [ask, answer("\U000f0000 Yes.", name="Bob")], (), {1: None})
    assert spans(named, view) == ["\U000f0000 Yes.<|im_end|>"]
    assert "user Ann" in named.decoded(view.ids)
    assert "assistant Bob" in named.decoded(view.ids)


def test_a_token_belongs_to_the_text_that_it_begins_in() -> None:
    chat = merging(PLAIN, (".", "Ċ"), ("Ġ", "Y"))
    view = target_view(chat, [ASK, answer("Yes.")], (), {1: None})
    assert spans(chat, view) == ["es.\n"]


def test_an_end_of_turn_behind_what_the_template_adds_is_learnt_with_that() -> None:
    ended = merging(PLAIN.replace("\n{%", "\n!{%"), (".", "Ċ"))
    chat = Chat(ended.tokenizer, ended.tokenizer.encode("!"))
    assert last(chat, ASK, answer("Yes.")) == ["Yes.\n!"]


@pytest.mark.parametrize("trim", [False, True])
def test_a_match_has_every_token_that_holds_a_part_of_it(trim: bool) -> None:
    chat = merging(PLAIN, ("4", "2"), ("Ġ", "42"), trim=trim)
    assert last(chat, ASK, answer("It is 42 or 4."), chosen=[(6, 8), (12, 13)]) == [" 42", "4"]
    assert last(chat, ASK, answer("It is 42."), chosen=[(6, 7), (7, 8)]) == [" 42"]


@pytest.mark.parametrize("trim", [False, True])
def test_a_space_that_an_offset_leaves_out_is_the_tokens_own(trim: bool) -> None:
    chat = merging(PLAIN, ("Ġ", "Y"), ("Ġ", "Ġ"), trim=trim)
    assert last(chat, ASK, answer("Yes.")) == ["es."]
    assert last(chat, ASK, answer("So  ")) == ["So  "]


def test_half_a_match_of_bytes_is_the_whole_character() -> None:
    assert last(chat_of("chatml"), ASK, answer("a🙂b🙂"), chosen=[(1, 2), (3, 4)]) == ["🙂", "🙂"]


def test_a_tokenizer_without_offsets_is_a_clear_error() -> None:
    class Slow(Counting):
        is_fast = False

    with pytest.raises(ModelError, match="cannot say where its tokens lie"):
        last(Chat(Slow(byte_tokenizer()), [2]), ASK, answer("Yes."))  # type: ignore[arg-type]


class Counting:
    """Passes everything on to a tokenizer, and counts what is asked of it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self.tokenised: list[int] = []
        self.rendered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str, **how: Any) -> Any:
        self.tokenised.append(len(text))
        return self._tokenizer(text, **how)

    def apply_chat_template(self, messages: list[Message], **how: Any) -> Any:
        self.rendered += len(messages)
        return self._tokenizer.apply_chat_template(messages, **how)


@pytest.mark.parametrize("turns", [1, 8, 256])
def test_a_conversation_is_tokenised_once_and_rendered_twice(turns: int) -> None:
    tokenizer = Counting(byte_tokenizer())
    chat = Chat(tokenizer, [2])  # type: ignore[arg-type]
    messages = [ASK, answer("Yes.")] * turns
    view = target_view(chat, messages, (), dict.fromkeys(range(1, 2 * turns, 2)))
    assert spans(chat, view) == ["Yes.<|im_end|>"] * turns
    assert tokenizer.tokenised == [len(chat.rendered(messages))]
    probed = 4  # Messages, once for a chat: where an answer begins and ends.
    assert tokenizer.rendered == probed + 3 * len(messages)  # The third time to compare here.
