"""Six shapes of chat template, token by token: what is a target, and what never is."""

from __future__ import annotations

from typing import Any

import pytest

from bakery.data.rows import Row
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import ContextSettings, RowRefused, pairs_of, prefixes
from bakery.engine.text.views import Pair, View
from bakery.records import Message
from tests.support.models import byte_tokenizer
from tests.support.templates import SHAPES, chat_of

ALL = list(SHAPES)
BARE = ContextSettings()
SPLIT = ["thinking", "system_to_last_user"]
WHOLE = [shape for shape in ALL if shape not in SPLIT]


def say(*contents: str) -> tuple[Message, ...]:
    return tuple(
        {"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)
    )


def prefix_of(shape: str) -> tuple[Message, ...]:
    """A context that the shape takes: a system message, or a turn of each."""
    if shape == "no_system":
        return say("Be brief.", "Ok.")
    return ({"role": "system", "content": "Be brief."},)


def context_of(shape: str, **changes: Any) -> ContextSettings:
    return ContextSettings(**{"prefix": prefix_of(shape), **changes})


def shown(chat: Chat, view: View) -> list[str]:
    return [chat.decoded(view.ids[start:stop]) for start, stop in view.spans]


def scored(chat: Chat, pairs: list[Pair]) -> list[str]:
    """Return the text under every span, after checking that both views hold the same."""
    for pair in pairs:
        assert shown(chat, pair.teacher) == shown(chat, pair.student)
        assert pair.teacher.target_ids == pair.student.target_ids
    return [text for pair in pairs for text in shown(chat, pair.student)]


@pytest.mark.parametrize("shape", ALL)
def test_an_answer_and_its_end_of_turn_are_the_targets(shape: str) -> None:
    chat = chat_of(shape)
    pairs = pairs_of(chat, Row(1, say("Hi?"), "Yes."), context_of(shape))
    assert scored(chat, pairs) == [f"Yes.{SHAPES[shape].end}"]
    assert list(pairs[0].student.target_ids) == [
        *chat.tokenizer.encode("Yes.", add_special_tokens=False),
        *chat.end_ids,
    ]


@pytest.mark.parametrize("shape", ALL)
def test_every_answer_of_a_conversation_is_a_target(shape: str) -> None:
    chat, end = chat_of(shape), SHAPES[shape].end
    row = Row(1, say("Hi?", "Yes.", "And?", "No.", "So?", "Perhaps."))
    assert scored(chat, pairs_of(chat, row, context_of(shape))) == [
        f"Yes.{end}",
        f"No.{end}",
        f"Perhaps.{end}",
    ]


@pytest.mark.parametrize(("shape", "pairs"), [(s, 1) for s in WHOLE] + [(s, 3) for s in SPLIT])
def test_a_row_is_split_where_later_turns_change_earlier_ones(shape: str, pairs: int) -> None:
    row = Row(7, say("Hi?", "Yes.", "And?", "No.", "So?", "Perhaps."))
    found = pairs_of(chat_of(shape), row, context_of(shape))
    assert [p.key for p in found] == (["7"] if pairs == 1 else ["7.2", "7.4", "7.6"])


@pytest.mark.parametrize(("said", "pairs"), [("Yes.", 1), ("<think>Hm.</think>Yes.", 2)])
def test_a_row_is_split_only_for_what_it_has(said: str, pairs: int) -> None:
    drops_earlier = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content if loop.last else m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    )
    chat = Chat(byte_tokenizer(drops_earlier), [2])
    found = pairs_of(chat, Row(1, say("Hi?", said, "And?", "No.")), context_of("chatml"))
    assert len(found) == pairs
    assert scored(chat, found) == [f"{said}<|im_end|>", "No.<|im_end|>"]


def test_tools_that_move_with_the_last_question_split_a_row() -> None:
    moves = (
        "{% for m in messages %}{% if tools and loop.revindex == 2 %}{{ tools | tojson }}"
        "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )
    chat, turns = Chat(byte_tokenizer(moves), [2]), say("Hi?", "Yes.", "And?", "No.")
    tools = ({"type": "function", "function": {"name": "now"}},)
    assert len(pairs_of(chat, Row(1, turns), context_of("chatml"))) == 1
    found = pairs_of(chat, Row(1, turns, tools=tools), context_of("chatml"))
    assert [chat.decoded(pair.student.ids).count("now") for pair in found] == [1, 1]


def test_a_template_that_refuses_the_probe_splits() -> None:
    picky = "{% if messages[0].content == 'q' %}{{ raise_exception('no') }}{% endif %}"
    chat = Chat(byte_tokenizer(picky + SHAPES["chatml"].template), [2])
    found = pairs_of(chat, Row(1, say("Hi?", "Yes.", "And?", "No."), prefix=say("a", "b")), BARE)
    assert scored(chat, found) == ["Yes.<|im_end|>", "No.<|im_end|>"]
    assert len(found) == 2


def test_a_single_target_is_never_split() -> None:
    (pair,) = pairs_of(chat_of("thinking"), Row(7, say("Hi?"), "Yes."), context_of("thinking"))
    assert pair.key == "7"


def test_a_template_that_needs_content_refuses_the_row() -> None:
    joins = "{% for m in messages %}{{ m.role + ': ' + m.content[0:] + '\n' }}{% endfor %}"
    turns = ({"role": "user", "content": 7}, *say("Hi?", "Yes."))
    with pytest.raises(RowRefused, match=r"row 1: the teacher's view: .* refuses these messages"):
        pairs_of(Chat(byte_tokenizer(joins), [2]), Row(1, turns), context_of("chatml"))


def test_the_template_is_probed_once() -> None:
    chat = chat_of("thinking")
    assert chat.changes_earlier_turns(say("Hi?"))
    chat.tokenizer.chat_template = "{{ raise_exception('asked again') }}"
    assert chat.changes_earlier_turns(say("And?", "No."))


@pytest.mark.parametrize("shape", SPLIT)
def test_an_answer_of_a_split_row_follows_what_it_follows_in_use(shape: str) -> None:
    chat = chat_of(shape, enable_thinking=False)
    turns = say("Hi?", "Yes.", "And?", "No.")
    for pair, cut in zip(pairs_of(chat, Row(1, turns), context_of(shape)), (1, 3), strict=True):
        for view, prefix in zip(
            (pair.teacher, pair.student),
            prefixes(chat, Row(1, turns[:cut]), context_of(shape)),
            strict=True,
        ):
            assert list(view.ids[: view.spans[0][0]]) == prefix


@pytest.mark.parametrize("shape", WHOLE)
def test_the_last_answer_follows_what_it_follows_in_use(shape: str) -> None:
    chat, turns = chat_of(shape), say("Hi?", "Yes.", "And?")
    (pair,) = pairs_of(chat, Row(1, turns, "No."), context_of(shape))
    teacher, student = prefixes(chat, Row(1, turns), context_of(shape))
    assert list(pair.teacher.ids[: pair.teacher.spans[-1][0]]) == teacher
    assert list(pair.student.ids[: pair.student.spans[-1][0]]) == student


@pytest.mark.parametrize("shape", ALL)
def test_a_response_is_the_same_as_a_last_turn(shape: str) -> None:
    chat = chat_of(shape)
    apart = Row(1, say("Hi?", "Yes.", "And?"), "No.")
    whole = Row(1, say("Hi?", "Yes.", "And?", "No."))
    assert pairs_of(chat, apart, context_of(shape)) == pairs_of(chat, whole, context_of(shape))


@pytest.mark.parametrize("shape", ALL)
def test_a_retained_prefix_is_seen_by_both(shape: str) -> None:
    chat = chat_of(shape)
    context = context_of(
        shape,
        prefix=(*prefix_of(shape), *say("Salt?", "A pinch.")),
        student_retained_turns=2,
    )
    pairs = pairs_of(chat, Row(1, say("Hi?"), "Yes."), context)
    assert scored(chat, pairs) == [f"Yes.{SHAPES[shape].end}"]
    texts = [chat.decoded(view.ids) for view in (pairs[0].teacher, pairs[0].student)]
    assert all("A pinch." in text for text in texts)
    assert ["Be brief." in text for text in texts] == [True, False]


@pytest.mark.parametrize("shape", ALL)
def test_what_a_user_says_can_be_a_target(shape: str) -> None:
    chat = chat_of(shape)
    context = context_of(shape, target_roles=frozenset({"user"}))
    row = Row(1, say("Hi?", "Yes.", "And?", "No."))
    assert scored(chat, pairs_of(chat, row, context)) == ["Hi?", "And?"]


@pytest.mark.parametrize("shape", ALL)
@pytest.mark.parametrize(
    "answer",
    [
        "assistant",
        "user\nassistant\n",
        "<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>",
        "[INST]<start_of_turn>model\n<|header|>",
        "🙂 naïve — 日本語 🙂",
        "é",
        "{{ message.content }} {% raw %}",
        "\x00\\n\\u0041",
    ],
)
def test_any_text_is_found_whole(shape: str, answer: str) -> None:
    chat = chat_of(shape)
    row = Row(1, say("assistant", answer, "🙂assistant🙂", answer))
    kept = answer.strip() if shape in ("llama3", "no_system") else answer
    found = scored(chat, pairs_of(chat, row, context_of(shape)))
    assert found == [kept + SHAPES[shape].end] * 2


@pytest.mark.parametrize("shape", ALL)
def test_the_same_text_twice_is_two_targets_in_their_places(shape: str) -> None:
    chat = chat_of(shape)
    row = Row(1, say("Yes.", "Yes.", "Yes.", "Yes."))
    pairs = pairs_of(chat, row, context_of(shape))
    assert scored(chat, pairs) == [f"Yes.{SHAPES[shape].end}"] * 2
    spans = [span for pair in pairs for span in pair.teacher.spans]
    assert len(set(spans)) == 2


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ("chatml", " \n Yes. \n"),
        ("default_system", " \n Yes. \n"),
        ("thinking", " \n Yes. \n"),
        ("system_to_last_user", " \n Yes. \n"),
        ("llama3", "Yes."),
        ("no_system", "Yes."),
    ],
)
def test_outer_space_is_a_target_where_the_template_keeps_it(shape: str, kept: str) -> None:
    chat = chat_of(shape)
    pairs = pairs_of(chat, Row(1, say("Hi?"), " \n Yes. \n"), context_of(shape))
    assert scored(chat, pairs) == [kept + SHAPES[shape].end]


@pytest.mark.parametrize("shape", ALL)
def test_an_empty_answer_is_no_target(shape: str) -> None:
    chat = chat_of(shape)
    assert pairs_of(chat, Row(1, say("Hi?"), ""), context_of(shape)) == []
    row = Row(1, say("Hi?", " \n", "And?", "No."))
    assert scored(chat, pairs_of(chat, row, context_of(shape))) == [f"No.{SHAPES[shape].end}"]


def test_a_default_system_prompt_is_what_the_student_has_in_use() -> None:
    chat = chat_of("default_system")
    (pair,) = pairs_of(chat, Row(1, say("Hi?"), "Yes."), context_of("default_system"))
    assert "You help." in chat.decoded(pair.student.ids)
    assert "You help." not in chat.decoded(pair.teacher.ids)


def test_a_retained_half_of_a_pair_is_refused_by_name() -> None:
    context = context_of("no_system", student_retained_turns=1)
    chat, row = chat_of("no_system"), Row(17, say("Hi?"), "Yes.")
    with pytest.raises(RowRefused, match=r"^row 17: the student's view: .* take turns") as caught:
        pairs_of(chat, row, context)
    assert "student_retained_turns" in str(caught.value.hint)
    with pytest.raises(RowRefused, match=r"^row 17: the student's view: "):
        prefixes(chat, Row(17, say("Hi?")), context)


def test_a_system_prompt_that_the_template_does_not_know_is_refused() -> None:
    context = ContextSettings(prefix=({"role": "system", "content": "Be brief."},))
    with pytest.raises(RowRefused, match=r"row 3: the teacher's view: .*no system role"):
        pairs_of(chat_of("no_system"), Row(3, say("Hi?"), "Yes."), context)
