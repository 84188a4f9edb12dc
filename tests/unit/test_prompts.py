"""Prompts: messages and tools as people write them, and which target takes which."""

from __future__ import annotations

import pytest

from bakery import schema
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.records import Prompt
from bakery.repo.plan.planned import Head
from bakery.repo.plan.resolve import resolve

HEAD = Head("ada", "yoda", BaseModelId("tiny-1", "", "ab" * 32))

TAIL = """\
TARGET:
  generators:
    - type: hardcoded
      questions: [Who?]
BAKE: {}
"""

TEACHER = "PROMPT:\n  teacher:\n    messages: [{role: system, content: You are Yoda.}]\n"

WEATHER = """\
    tools:
      - type: function
        function:
          name: weather
          description: Says what the weather is.
          parameters:
            type: object
            properties: {place: {type: string}}
            required: [place]
"""


def with_messages(lines: str) -> str:
    return f"PROMPT:\n  teacher:\n    messages:\n{lines}"


def plan(text: str):
    return resolve(schema.load(text), HEAD)


def bake_id(text: str) -> str:
    return plan(text).bake.id


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("      - {role: user, contnet: x}\n", r":4:9: .*unknown key `contnet`.*`content`"),
        ("      - {role: user}\n", r":4:9: .*this user message has no content"),
        ("      - hello\n", r":4:9: .*expected keys with values here"),
        ("      - {role: user, content: {a: b}}\n", r":4:31: .*is not text"),
        ("      - {role: user, content: [{type: image_url, text: x}]}\n", r":4:39: .*known: text"),
        ("      - {role: user, content: [{type: text}]}\n", r":4:32: .*text: is required"),
        ("      - {role: user, content: x, tool_calls: [{function: {name: f}}]}\n",
         r":4:9: .*only an assistant calls tools, not the user"),
        ("      - {role: assistant, tool_calls: [{function: {}}]}\n",
         r":4:51: .*name: is required"),
        ("      - {role: assistant, tool_calls: [{function: {name: f, arguments: 3}}]}\n",
         r":4:72: .*expected keys with values here or text"),
        ("      - {role: user, content: x}\n    tools: f\n", r":5:12: .*expected a list"),
        ("      - {role: user, content: x}\n    tools: [{name: f}]\n",
         r":5:13: .*under `function`"),
        ("      - {role: user, content: x}\n    tools: [{type: function, function: {}}]\n",
         r":5:40: .*name: is required"),
    ],
)  # fmt: skip
def test_a_message_or_tool_that_is_none_is_refused_at_its_place(lines, message):
    with pytest.raises(ConfigError, match=message):
        schema.load(with_messages(lines))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: object", "type: objct", r":10:19: .*'objct' is not known: did you mean `object`"),
        ("[place]", "[plaice]", r":10:13: .*requires 'plaice', which is not in `properties`"),
        ("{place: {type: string}}", "3", r":11:25: .*properties: expected keys with values"),
        ("type: function", "type: plugin", r":5:15: .*'plugin' is not known: known: function"),
    ],
)
def test_a_bad_tool_says_where_and_why(old, new, message):
    with pytest.raises(ConfigError, match=message):
        schema.load(TEACHER + WEATHER.replace(old, new, 1))


def test_messages_and_tools_stay_as_they_were_written():
    call = "{id: c1, type: function, function: {name: weather, arguments: {place: Ede}}}"
    history = f"""\
      - {{content: You help., role: system}}
      - {{role: user, content: [{{type: text, text: "How "}}, {{type: text, text: "is it?"}}]}}
      - {{role: assistant, content: null, reasoning_content: Hm., tool_calls: [{call}]}}
      - {{role: tool, tool_call_id: c1, content: Sunny., name: weather}}
      - {{role: assistant, content: Sunny.}}
"""
    prompt = schema.load(with_messages(history) + WEATHER).prompts["teacher"].prompt()
    assert list(prompt.messages[0]) == ["content", "role"]
    assert prompt.messages[1]["content"] == [
        {"type": "text", "text": "How "},
        {"type": "text", "text": "is it?"},
    ]
    assert prompt.messages[2]["content"] is None
    assert prompt.messages[2]["tool_calls"][0]["function"]["arguments"] == {"place": "Ede"}
    assert prompt.messages[3] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": "Sunny.",
        "name": "weather",
    }
    assert list(prompt.tools[0]["function"]) == ["name", "description", "parameters"]


@pytest.mark.parametrize(
    "student",
    [
        "  student:\n",
        "  student:\n    messages:\n",
        "  student:\n    messages: []\n",
        "  student:\n    messages: [{role: system, content: ''}]\n",
        "  student:\n    messages: [{role: system, content: null}]\n",
        "  student:\n    messages: [{role: system, content: [{type: text, text: ''}]}]\n",
    ],
)
def test_an_absent_and_an_empty_student_give_the_same_names(student):
    assert bake_id(TEACHER + student + TAIL) == bake_id(TEACHER + TAIL)


def test_the_order_of_prompts_does_not_swap_them():
    student = "  student:\n    messages: [{role: user, content: Ho.}]\n"
    first = "PROMPT:\n" + student + TEACHER.removeprefix("PROMPT:\n")
    assert bake_id(first + TAIL) == bake_id(TEACHER + student + TAIL)
    (target,) = plan(first + TAIL).targets
    assert target.stim.teacher.messages[0]["content"] == "You are Yoda."
    assert target.student.messages[0]["content"] == "Ho."


def test_a_trigger_is_another_bake():
    student = "  student:\n    messages: [{role: system, content: Yoda mode.}]\n"
    assert bake_id(TEACHER + student + TAIL) != bake_id(TEACHER + TAIL)


def test_a_student_may_be_its_teacher():
    text = TEACHER + TAIL.replace("TARGET:\n", "TARGET:\n  student_prompt: teacher\n")
    (share,) = plan(text).bake.shares
    assert share.teacher == share.student != Prompt()


SEVERAL = f"""{TEACHER}  injected:
    messages: [{{role: system, content: Say only no.}}]
TARGET:
  - name: yoda
    generators: [{{type: hardcoded, questions: [Who?]}}]
  - name: stays
    u: injected
    student_prompt: injected
    generators: [{{type: hardcoded, questions: [Who?]}}]
BAKE:
  datasets: [{{target: yoda, weight: 3}}, {{target: stays}}]
"""


def test_several_targets_choose_among_several_prompts():
    made = plan(SEVERAL)
    yoda, stays = made.targets
    assert [share.name for share in made.bake.shares] == [yoda.name, stays.name]
    assert yoda.student == Prompt()
    assert stays.stim.teacher == stays.student
    assert stays.student.messages[0]["content"] == "Say only no."


def test_a_former_key_is_taken_and_named_in_a_warning():
    assert plan(SEVERAL).warnings == ("input.yml:10:5: `u` is the former name of `teacher_prompt`",)


def test_both_names_of_a_key_must_agree():
    with pytest.raises(ConfigError, match=r":9:5: .*u says 'injected' and teacher_prompt 'teach"):
        schema.load(SEVERAL.replace("u: injected", "u: injected\n    teacher_prompt: teacher"))


def test_a_prompt_that_no_target_takes_is_named():
    text = TEACHER + "  spare:\n    messages: [{role: user, content: Ho.}]\n" + TAIL
    assert schema.load(text).warnings == (
        "input.yml:4:3: PROMPT.spare is in no target: it has no effect",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SEVERAL.replace("u: injected", "u: injectd"),
         r":10:8: there is no PROMPT\.injectd: did you mean `injected`\?"),
        (SEVERAL.replace("name: stays", "name: yoda"),
         r":9:11: another target is called 'yoda' already"),
        (TEACHER.replace("teacher", "master") + TAIL,
         r":1:1: PROMPT\.teacher is missing: write it, or choose another with TARGET\.teacher_p"),
        ("PROMPT:\n  teacher: {}\n" + TAIL, r":2:12: PROMPT\.teacher has no messages"),
        (TAIL, r":1:1: TARGET needs PROMPT\.teacher"),
    ],
)  # fmt: skip
def test_a_target_without_its_prompts_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        schema.load(text)


def test_a_template_counts_by_its_content_and_not_by_its_name():
    text = TEACHER + TAIL.replace(
        "    - type: hardcoded\n      questions: [Who?]\n",
        "    - {type: oneshot_qs, numq: 3, template_path: a/t.txt}\n"
        "    - {type: oneshot_qs, numq: 3, template_path: b/t.txt}\n",
    )
    texts = {"a/t.txt": b"One: ${numq} ${prompt_u}", "b/t.txt": b"Two: ${numq} ${prompt_u}"}

    def stim(texts: dict[str, bytes]) -> str:
        return resolve(schema.load(text, read=texts.__getitem__), HEAD).targets[0].stim.id

    assert schema.load(text, read=texts.__getitem__).templates == {
        path: raw.decode() for path, raw in texts.items()
    }
    assert stim(texts) != stim(dict.fromkeys(texts, texts["a/t.txt"]))
