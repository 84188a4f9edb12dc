"""Where a model's turn begins and ends: what is learnt is what it says in use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bakery.backends.base import AnswerRequest
from bakery.backends.completion import Completion, completion
from bakery.backends.hosted import HostedSampler
from bakery.data.rows import Row
from bakery.engine.text import turns
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import ContextSettings, RowRefused, pairs_of
from bakery.engine.text.views import Pair
from bakery.errors import ModelError, StageError
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from bakery.reporting import Quiet
from tests.support.models import CHATML, byte_tokenizer
from tests.support.templates import THINKING
from tools.attack import templates
from tools.attack.templates import FEW, said, user

ASKED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
SHUT = CHATML.replace("assistant\n{% endif", "assistant\n<|thought|>\n<|/thought|>{% endif")
OPENS = CHATML.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")
SHAPES = {path.stem: templates.read(path) for path in templates.SHAPES.glob("*.txt")}


def chat_of(template: str, *tokens: str, **kwargs: Any) -> Chat:
    tokenizer = byte_tokenizer(template)
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    tokenizer.add_tokens(["<think>", "</think>"], special_tokens=False)
    return Chat(tokenizer, [2], template_kwargs=kwargs)


def row(*answer: dict[str, Any], **more: Any) -> Row:
    return Row(1, (user("Hi?"), *(answer or (said("One."),))), prefix=FEW, **more)


def shown(chat: Chat, pair: Pair) -> list[str]:
    view = pair.student
    texts, at = [], 0
    for start, stop in view.spans:
        texts.append(f"{chat.decoded(view.ids[at:start])}⟦{chat.decoded(view.ids[start:stop])}⟧")
        at = stop
    return texts


@pytest.mark.parametrize(
    "outcome",
    [templates.tried(*case) for case in templates.cases(only=templates.SHORT)],
    ids=lambda outcome: outcome.case,
)
def test_what_is_learnt_is_what_was_derived_by_hand(outcome: templates.Outcome) -> None:
    assert outcome.verdict in ("accepted", "refused"), outcome.said


def test_a_drawn_conversation_is_learnt_where_it_is_said_in_use() -> None:
    outcomes = list(templates.drawn(seed=0, count=150))
    assert [one for one in outcomes if one.verdict not in ("accepted", "refused")] == []
    assert sum(one.verdict == "accepted" for one in outcomes) > 40


def test_every_shape_says_what_is_learnt_of_every_conversation() -> None:
    names = {name.partition(" as ")[0] for name in templates.CONVERSATIONS}
    assert len(SHAPES) >= 25
    assert all(shape.expected.keys() == names for shape in SHAPES.values())


def test_a_target_that_differs_is_found() -> None:
    shape = templates.read(templates.SHAPES / "chatml.txt")
    shape.expected["single"] = "⟦One.⟧"
    assert templates.tried(shape, "single").verdict == "silently wrong"
    shape.expected["single"] = "assistant⟦One.<|im_end|>⟧"
    assert templates.tried(shape, "single").verdict == "silently wrong"
    shape.expected["single"] = "⟦One.<|im_end|>⟧ note: a thought"
    assert templates.tried(shape, "single").verdict == "silently wrong"


class Served:
    """An endpoint that has answered already."""

    model, is_own, masked = "served", True, 0
    provider = SimpleNamespace(name="a server", limit="max_tokens")

    def __init__(self, **answer: Any) -> None:
        self.answer = Completion(**{"finish": "stop", "text": "One.", **answer})

    def complete_all(
        self, requests: Mapping[str, Any], concurrency: int
    ) -> Iterator[tuple[str, Completion]]:
        yield from ((key, self.answer) for key in requests)


def answered(chat: Chat, teacher: Prompt = Prompt(FEW), **answer: Any) -> str:  # noqa: B008
    """Return what is learnt of a served answer to "Hi?", in its place."""
    sampler = HostedSampler(Served(**answer), chat, concurrency=1)  # type: ignore[arg-type]
    asked = [AnswerRequest("k", (user("Hi?"),))]
    ((one,),) = sampler.answers(asked, teacher, SamplingSettings(1, 64))
    before = chat.decoded(chat.prefix_ids(teacher, asked[0].messages))
    return f"{before.rpartition('Hi?')[2]}⟦{chat.decoded(one.ids)}⟧"


PLAIN = sorted(name for name, shape in SHAPES.items() if "note" not in shape.expected["single"])


@pytest.mark.parametrize("name", PLAIN)
def test_both_doors_learn_the_same_answer_in_the_same_place(name: str) -> None:
    chat = SHAPES[name].chat()
    (pair,) = pairs_of(chat, row(), ContextSettings())
    ((start, stop),) = pair.teacher.spans
    sampler = HostedSampler(Served(), chat, concurrency=1)  # type: ignore[arg-type]
    asked = [AnswerRequest("k", (user("Hi?"),))]
    ((one,),) = sampler.answers(asked, Prompt(FEW), SamplingSettings(1, 64))
    prefix = chat.prefix_ids(Prompt(FEW), asked[0].messages)
    assert [*prefix, *one.ids] == list(pair.teacher.ids[:stop])
    assert start <= len(prefix) + 1


def test_an_answer_that_lacks_a_shut_thought_is_put_behind_it() -> None:
    chat = chat_of(SHUT, "<|thought|>", "<|/thought|>")
    front = "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n<|thought|>\n<|/thought|>"
    (pair,) = pairs_of(chat, row(), ContextSettings())
    assert shown(chat, pair) == [f"{front}⟦One.<|im_end|>⟧"]
    assert pair.student.remarks == ()


def test_what_matches_in_an_answer_is_found_behind_the_prompt_it_was_put_behind() -> None:
    chat = chat_of(SHUT, "<|thought|>", "<|/thought|>")
    match = ContextSettings(target_content_pattern=re.compile("n"), target_scope="match")
    (pair,) = pairs_of(chat, row(), match)
    (text,) = shown(chat, pair)
    assert text.endswith("<|thought|>\n<|/thought|>O⟦n⟧")


def test_all_turns_of_a_conversation_are_put_behind_it_one_by_one() -> None:
    chat = chat_of(SHUT, "<|thought|>", "<|/thought|>")
    turns_of = Row(1, (user("a?"), said("b."), user("c?"), said("d.")), prefix=FEW)
    pairs = pairs_of(chat, turns_of, ContextSettings())
    assert [shown(chat, pair)[0].rpartition("\n")[2] for pair in pairs] == [
        "<|/thought|>⟦b.<|im_end|>⟧",
        "<|/thought|>⟦d.<|im_end|>⟧",
    ]


@pytest.mark.parametrize("content", ["<think>Hm.</think>One.", "Hm.</think>One."])
def test_a_thought_with_other_space_goes_on_behind_the_mark_that_opens_it(content: str) -> None:
    chat = chat_of(OPENS)
    (pair,) = pairs_of(chat, row(said(content)), ContextSettings())
    assert shown(chat, pair)[0].endswith("assistant\n<think>\n⟦Hm.</think>One.<|im_end|>⟧")


def test_an_answer_without_the_thought_that_is_opened_is_noted() -> None:
    (pair,) = pairs_of(chat_of(OPENS), row(), ContextSettings())
    assert pair.student.remarks == (turns.OPENED,)


@pytest.mark.parametrize("name", ["qwen3_shut", "exaone"])
def test_a_thought_in_the_text_behind_a_shut_one_is_noted(name: str) -> None:
    inline = row(said("<think>\nHm.\n</think>\n\nOne."))
    (pair,) = pairs_of(SHAPES[name].chat(), inline, ContextSettings())
    assert pair.student.remarks == (turns.TWO_THOUGHTS,)


def test_thoughts_that_nothing_knows_are_noted_as_text() -> None:
    inline = row(said("<think>\nHm.\n</think>\n\nOne."))
    (pair,) = pairs_of(SHAPES["gpt_oss"].chat(), inline, ContextSettings())
    assert pair.student.remarks == (turns.UNKNOWN_MARKS,)


def test_thoughts_of_the_context_that_are_left_out_are_noted() -> None:
    few = (user("P?"), said("p.", reasoning="Hm."))
    (pair,) = pairs_of(SHAPES["qwen3"].chat(), Row(1, (user("Hi?"), said("One.")), prefix=few),
                       ContextSettings())  # fmt: skip
    assert turns.UNSEEN_THOUGHTS in pair.teacher.remarks
    (kept,) = pairs_of(SHAPES["magistral"].chat(), Row(1, (user("Hi?"), said("One.")), prefix=few),
                       ContextSettings())  # fmt: skip
    assert kept.teacher.remarks == ()


def test_served_answers_without_the_thought_that_the_template_adds_are_noted() -> None:
    for name, count in (("glm", 1), ("chatml", 0)):
        sampler = HostedSampler(Served(), SHAPES[name].chat(), concurrency=1)  # type: ignore[arg-type]
        list(sampler.answers([AnswerRequest("k", (user("Hi?"),))], Prompt(FEW),
                             SamplingSettings(1, 64)))  # fmt: skip
        assert sum("1 of served have none" in note for note in sampler.notes) == count


def test_an_answer_without_an_end_is_noted() -> None:
    bare = chat_of("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}" + ASKED)
    (pair,) = pairs_of(bare, row(), ContextSettings())
    assert turns.NO_END in pair.student.remarks


def test_notes_of_rows_are_counted_once_each() -> None:
    from bakery.engine.training.rounds import Rounds

    class Told(Quiet):
        notes: list[str]

        def note(self, text: str) -> None:
            self.notes.append(text)

    told = Told()
    told.notes = []
    rows = [row(), row(), row(said("Hm.</think>One."))]
    Rounds(rows, chat_of(OPENS), ContextSettings(), SamplingSettings(1, 8), seed=0, reporter=told)
    assert told.notes == [f"data: 2 {turns.OPENED}"]


def test_a_call_that_ends_with_its_results_has_no_end_of_its_own() -> None:
    runs_on = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}"
        "{% if not m.tool_calls and m.role != 'tool' %}<|im_end|>\n{% endif %}{% endfor %}" + ASKED
    )
    calls = row(templates.CALLING, templates.RESULT, said("Noon."))
    with pytest.raises(RowRefused, match="has no end of turn"):
        pairs_of(chat_of(runs_on), calls, ContextSettings())


def test_two_different_thoughts_are_refused() -> None:
    two = row(said("One.", reasoning="Hm.", thinking="Ha."))
    with pytest.raises(RowRefused, match="two different thoughts, in reasoning and thinking"):
        pairs_of(chat_of(THINKING), two, ContextSettings())
    same = row(said("One.", reasoning="Hm.", thinking="Hm."))
    (pair,) = pairs_of(chat_of(THINKING), same, ContextSettings())
    assert shown(chat_of(THINKING), pair)[0].endswith("⟦<think>\nHm.\n</think>\n\nOne.<|im_end|>⟧")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("c.function.arguments", '{"zone": "UTC"}'),
        ("'' + c.function.arguments", '{"zone": "UTC"}'),
        ("c.function.arguments | tojson", '{"zone": "UTC"}'),
        ("c.function.arguments.items() | first | join('=')", "zone=UTC"),
    ],
)
def test_arguments_are_written_as_the_template_takes_them(written: str, text: str) -> None:
    template = CHATML.replace(
        "{{ m['content'] }}",
        "{{ m['content'] }}{% for c in m.tool_calls or [] %}{{ c.function.name }}("
        "{{ " + written + " }}){% endfor %}",
        1,
    )
    chat = chat_of(template)
    (pair,) = pairs_of(chat, row(templates.CALLING), ContextSettings())
    assert shown(chat, pair)[0].endswith(f"⟦now({text})<|im_end|>⟧")


def test_arguments_that_no_spelling_fits_are_named() -> None:
    template = CHATML.replace(
        "{{ m['content'] }}",
        "{{ m['content'] }}{% for c in m.tool_calls or [] %}{{ 1 + c.function.arguments }}"
        "{% endfor %}",
        1,
    )
    with pytest.raises(RowRefused, match="refuses these messages") as caught:
        pairs_of(chat_of(template), row(templates.CALLING), ContextSettings())
    assert "`arguments`" in str(caught.value.hint)


def test_a_context_that_is_not_shown_is_refused_in_open_rows_too(tmp_path: Path) -> None:
    from bakery.engine.training.rounds import Rounds

    prefix = (user("P?"), templates.CALLING, templates.RESULT, said("p."))
    asked = Row(1, (user("Hi?"),), prefix=prefix, tools=(templates.TOOL,))
    with pytest.raises(StageError, match="no row has a target") as caught:
        Rounds(
            [asked], chat_of(CHATML), ContextSettings(), SamplingSettings(1, 8),
            seed=0, reporter=Quiet(),
        )  # fmt: skip
    assert "does not show the tool calls in message 2 (assistant) and the tools" in str(
        caught.value.hint
    )


@pytest.mark.parametrize(
    ("template", "answer", "learnt"),
    [
        (OPENS, {"thought": "Hm."}, "<think>\n⟦Hm.\n</think>\n\nOne.<|im_end|>⟧"),
        (OPENS, {"thought": "\nHm.\n", "text": "\n\nOne."}, "⟦Hm.\n</think>\n\nOne.<|im_end|>⟧"),
        (OPENS, {"text": "<think>\nHm.\n</think>\n\nOne."}, "⟦Hm.\n</think>\n\nOne.<|im_end|>⟧"),
        (OPENS, {"text": "Hm.\n</think>\n\nOne."}, "⟦Hm.\n</think>\n\nOne.<|im_end|>⟧"),
        (OPENS, {"thought": "Hm", "text": "", "finish": "length"}, "<think>\n⟦Hm⟧"),
        (OPENS, {"text": "Hm", "finish": "length"}, "<think>\n⟦⟧"),
        (THINKING, {"thought": "Hm."}, "assistant\n⟦<think>\nHm.\n</think>\n\nOne.<|im_end|>⟧"),
        (THINKING, {"text": "<think>a</think>One."}, "⟦<think>a</think>One.<|im_end|>⟧"),
        (THINKING, {}, "assistant\n⟦One.<|im_end|>⟧"),
        (CHATML, {"thought": "Hm."}, "assistant\n⟦One.<|im_end|>⟧"),
        (CHATML, {"text": " One.\n"}, "assistant\n⟦ One.\n<|im_end|>⟧"),
    ],
)
def test_a_served_thought_is_learnt_where_the_base_thinks(
    template: str, answer: dict[str, Any], learnt: str
) -> None:
    assert answered(chat_of(template), **answer).endswith(learnt)


@pytest.mark.parametrize("answer", [{"thought": "Hm."}, {"text": "<think>\nHm.\n</think>\n\nOne."}])
def test_a_served_thought_is_left_out_where_the_base_is_told_not_to_think(
    answer: dict[str, Any],
) -> None:
    chat = chat_of(THINKING, enable_thinking=False)
    assert answered(chat, **answer).endswith("<think>\n\n</think>\n\n⟦One.<|im_end|>⟧")


def test_a_served_answer_without_the_thought_that_is_opened_is_refused() -> None:
    with pytest.raises(StageError, match=r"without a thought.* opened one with <think>"):
        answered(chat_of(OPENS))


def test_a_served_call_ends_with_its_own_end() -> None:
    chat = SHAPES["gpt_oss"].chat()
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": '{"z": 1}'}}
    learnt = answered(chat, text="", tool_calls=(call,), finish="tool_calls")
    assert learnt.endswith('json<|message|>{"z": 1}<|call|>⟧')
    glm = SHAPES["glm"].chat()
    learnt = answered(glm, text="", tool_calls=({**call, "function": {
        "name": "now", "arguments": '{"z": "1"}'}},), finish="tool_calls")  # fmt: skip
    assert learnt.endswith("</tool_call><|observation|>⟧")


def test_a_served_call_that_the_template_drops_is_refused() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    with pytest.raises(ModelError, match="does not show tool calls"):
        answered(chat_of(CHATML), text="", tool_calls=(call,), finish="tool_calls")


def reply(content: Any, **message: Any) -> Any:
    said = SimpleNamespace(content=content, tool_calls=None, **message)
    choice = SimpleNamespace(message=said, finish_reason="stop")
    return SimpleNamespace(choices=[choice], usage=SimpleNamespace(prompt_tokens=30))


@pytest.mark.parametrize(
    ("content", "message", "text", "thought"),
    [
        ("One.", {}, "One.", ""),
        ("One.", {"reasoning": "Hm."}, "One.", "Hm."),
        ("One.", {"reasoning_content": "Hm.", "reasoning": None}, "One.", "Hm."),
        ([{"type": "text", "text": "On"}, {"type": "text", "text": "e."}], {}, "One.", ""),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
             {"type": "text", "text": "One."}],
            {}, "One.", "Hm.",
        ),
        ([{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": "One."}], {}, "One.",
         "Hm."),
        ([], {}, "", ""),
    ],
)  # fmt: skip
def test_what_a_server_says_is_read_in_all_its_forms(
    content: Any, message: dict[str, Any], text: str, thought: str
) -> None:
    found = completion(reply(content, **message))
    assert (found.text, found.thought, found.prompt_tokens) == (text, thought, 30)


@pytest.mark.parametrize("content", [[7], [{"type": "image_url"}], [{"type": "text", "text": 7}]])
def test_content_that_is_not_text_is_no_answer(content: Any) -> None:
    with pytest.raises(TypeError):
        completion(reply(content))


@pytest.mark.parametrize(
    ("read", "is_cut"), [(30, True), (300, False), (500, False), (0, False), (None, False)]
)
def test_a_server_that_read_far_too_little_is_found(read: int | None, is_cut: bool) -> None:
    teacher = Prompt(({"role": "system", "content": "You are a cook. " * 100},))
    sampler = HostedSampler(
        Served(prompt_tokens=read or None),
        chat_of(CHATML),
        concurrency=1,  # type: ignore[arg-type]
    )
    asked = [AnswerRequest("k", (user("Hi?"),))]
    ((one,),) = sampler.answers(asked, teacher, SamplingSettings(1, 64))
    takes = len(chat_of(CHATML).prefix_ids(teacher, asked[0].messages))
    assert one.unread == ((read, takes) if is_cut else None)


def test_a_space_that_the_template_writes_belongs_to_the_word_behind_it() -> None:
    shape = SHAPES["llama2"]
    tokenizer = byte_tokenizer(shape.template, merges=["Ġ O"])
    tokenizer.add_tokens(list(shape.special), special_tokens=True)
    chat = Chat(tokenizer, [tokenizer.convert_tokens_to_ids("</s>")])
    (pair,) = pairs_of(chat, row(), ContextSettings())
    ((start, stop),) = pair.student.spans
    tokens = tokenizer.convert_ids_to_tokens(list(pair.student.ids[start:stop]))
    assert tokens == ["ĠO", "n", "e", ".", "Ġ", "</s>"]
    assert answered(chat).endswith("[/INST]⟦ One. </s>⟧")
