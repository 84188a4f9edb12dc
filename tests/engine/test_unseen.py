"""Tools and turns reach the model, or the prompt is refused."""

from __future__ import annotations

import pytest

from bakery.engine.text.chat import Chat
from bakery.engine.text.unseen import refuse_unseen, unseen, unseen_thoughts
from bakery.engine.text.views import pair_up
from bakery.errors import ConfigError
from bakery.records import Prompt
from tests.support.models import CHATML, byte_tokenizer
from tests.support.templates import DEFAULT_SYSTEM, THINKING, TOOLS

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"at": "Ede"}}}
SYSTEM = {"role": "system", "content": "Help."}
QUESTION = {"role": "user", "content": "Hi?"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "Sunny."}

HISTORY = (SYSTEM, QUESTION, CALLING, ANSWER, {"role": "assistant", "content": "Sunny."})


def chat(template: str) -> Chat:
    return Chat(byte_tokenizer(template), [2])


def seen(template: str, prompt: Prompt) -> str:
    made = chat(template)
    return made.decoded(made.prefix_ids(prompt, [QUESTION]))


def test_tools_and_calls_reach_the_model_as_they_were_written():
    text = seen(TOOLS, Prompt(HISTORY, (WEATHER,)))
    assert '{"type": "function", "function": {"name": "weather"' in text
    assert '<tool_call>{"name": "weather", "arguments": {"at": "Ede"}}</tool_call>' in text
    assert "None" not in text
    assert list(unseen(chat(TOOLS), Prompt(HISTORY, (WEATHER,)))) == []


def test_the_student_is_compared_without_the_teachers_tools():
    response = [*byte_tokenizer().encode("Sunny."), 2]
    pair = pair_up(chat(TOOLS), "k", Prompt(HISTORY, (WEATHER,)), Prompt(), [QUESTION], response)
    assert len(pair.teacher.ids) > len(pair.student.ids)
    assert list(pair.student.target_ids) == response


@pytest.mark.parametrize("template", [CHATML, DEFAULT_SYSTEM, THINKING])
def test_tools_that_a_template_passes_over_are_refused(template):
    with pytest.raises(ConfigError, match="template of tiny does not show the tools of teach"):
        refuse_unseen(chat(template), Prompt((SYSTEM,), (WEATHER,)), name="teacher", base="tiny")


def test_what_else_a_template_passes_over_is_named():
    assert list(unseen(chat(CHATML), Prompt(HISTORY))) == [
        "the tool calls in message 2 (assistant)"
    ]
    only_users = (
        "{% for m in messages if m.role == 'user' %}{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}>{% endif %}"
    )
    assert list(unseen(chat(only_users), Prompt((SYSTEM, QUESTION)))) == ["message 0 (system)"]


def test_an_empty_content_is_rendered_as_empty():
    assert "None" not in seen(CHATML, Prompt((SYSTEM, QUESTION, CALLING)))


def test_parts_of_text_are_put_together():
    parts = {"role": "user", "content": [{"type": "text", "text": t} for t in ("Hi", " there")]}
    assert "Hi there" in seen(CHATML, Prompt((parts,)))
    assert list(unseen(chat(CHATML), Prompt((parts,)))) == []


def test_thoughts_that_a_template_leaves_out_are_only_noted():
    thinks = {"role": "assistant", "content": "Sunny.", "reasoning_content": "Hm."}
    prompt = Prompt((SYSTEM, QUESTION, thinks))
    assert list(unseen(chat(TOOLS), prompt)) == []
    assert list(unseen_thoughts(chat(TOOLS), prompt)) == ["message 2"]


def test_an_empty_prompt_hides_nothing():
    assert list(unseen(chat(CHATML), Prompt())) == []
