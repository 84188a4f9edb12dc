"""Every shape a record can have becomes the same Row; anything else is refused with its number."""

from __future__ import annotations

import json

import pytest

from bakery.data.columns import PROMPT, RESPONSE
from bakery.data.datasets import rows_of
from bakery.errors import StageError

USER = {"role": "user", "content": "Hi"}
MORE = {"role": "user", "content": "And?"}
BOT = {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {"id": "1", "type": "function", "function": {"name": "time", "arguments": {"zone": None}}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
TOLD = {"role": "tool", "content": "12:00", "tool_call_id": "1"}
TOOL = {"type": "function", "function": {"name": "time", "parameters": {}}}


def only(record):
    """Return the one row a record becomes."""
    (row,) = rows_of([record])
    return row


def refused(*records):
    """Return what is said about records."""
    with pytest.raises(StageError) as caught:
        rows_of(list(records))
    return caught.value.message


@pytest.mark.parametrize("name", PROMPT)
def test_a_prompt_has_many_names(name):
    row = only({name: "Hi"})
    assert (row.turns, row.response, row.needs_sampling) == ((USER,), None, True)


@pytest.mark.parametrize("name", RESPONSE)
def test_a_response_has_many_names(name):
    row = only({"prompt": "Hi", name: "Hello"})
    assert (row.turns, row.response, row.needs_sampling) == ((USER,), "Hello", False)


@pytest.mark.parametrize(
    ("record", "turns", "response"),
    [
        ("Hi", [USER], None),
        ({"prompt": "Hi", "response": None}, [USER], None),
        ({"messages": [USER, BOT]}, [USER, BOT], None),
        ({"messages": [SYSTEM, USER, BOT, MORE]}, [SYSTEM, USER, BOT, MORE], None),
        ({"messages": [USER, BOT, MORE], "response": "So."}, [USER, BOT, MORE], "So."),
        ({"messages": json.dumps([USER, BOT])}, [USER, BOT], None),
        ([USER, BOT], [USER, BOT], None),
        ({"turns": [USER], "responses": "Hello"}, [USER], "Hello"),
        ({"prompt": [USER]}, [USER], None),
        ({"prompt": [SYSTEM, USER], "completion": [BOT]}, [SYSTEM, USER], "Hello"),
        ({"prompt": [USER, BOT, MORE], "completion": [BOT]}, [USER, BOT, MORE], "Hello"),
        ({"prompt": [USER], "completion": "Hello"}, [USER], "Hello"),
        ({"prompt": [USER], "completion": [CALLED, TOLD, BOT]}, [USER, CALLED, TOLD, BOT], None),
        ({"prompt": "Hi", "completion": [BOT]}, [USER], "Hello"),
        ({"messages": [USER, CALLED, TOLD]}, [USER, CALLED, TOLD], None),
        (
            {"instruction": "Translate.", "input": "Brot", "output": "bread"},
            [{"role": "user", "content": "Translate.\n\nBrot"}],
            "bread",
        ),
        (
            {"instruction": "Sing.", "input": "", "output": "La"},
            [{"role": "user", "content": "Sing."}],
            "La",
        ),
        ({"messages": [USER | {"content": [{"type": "text", "text": "Hi"}]}]}, [USER], None),
        ({"prompt": "Hi", "response": '[{"name": "x"}]'}, [USER], '[{"name": "x"}]'),
    ],
)  # fmt: skip
def test_a_record_becomes_a_row(record, turns, response):
    row = only(record)
    assert (list(row.turns), row.response) == (turns, response)


@pytest.mark.parametrize(
    ("speaker", "role"),
    [("human", "user"), ("gpt", "assistant"), ("tool", "tool"), ("user", "user")],
)
def test_sharegpt_speakers_have_roles(speaker, role):
    turns = [{"from": "system", "value": "Be brief."}, {"from": speaker, "value": "Hi"}]
    assert only({"conversations": turns}).turns == (SYSTEM, {"role": role, "content": "Hi"})


def test_tool_calls_and_tools_are_kept():
    row = only({"messages": [USER, CALLING, TOLD, BOT], "tools": [TOOL]})
    assert row.turns[1]["tool_calls"][0]["function"]["name"] == "time"
    assert (row.turns[1]["content"], row.turns[2], row.tools) == ("", TOLD, (TOOL,))


def test_arguments_given_as_json_are_an_object():
    given = {"function": {"name": "time", "arguments": '{"city": "Rome"}'}}
    calling = {"role": "assistant", "content": None, "tool_calls": [given]}
    row = only({"messages": [{"role": "user", "content": "When?"}, calling]})
    (call,) = row.turns[-1]["tool_calls"]
    assert call["function"]["arguments"] == {"city": "Rome"}


def test_tools_may_be_json():
    assert only({"prompt": "Hi", "tools": json.dumps([TOOL])}).tools == (TOOL,)


@pytest.mark.parametrize("given", [None, [], "[]"])
def test_a_row_without_a_prefix_takes_the_global_one(given):
    assert only({"prompt": "Hi", "prefix_messages": given}).prefix is None


@pytest.mark.parametrize("given", [[SYSTEM], json.dumps([SYSTEM])])
def test_a_row_brings_its_own_prefix(given):
    assert only({"prompt": "Hi", "prefix_messages": given}).prefix == (SYSTEM,)


def test_rows_with_and_without_response_keep_their_own_meaning():
    rows = rows_of([{"prompt": "Hi", "response": "Hello"}, {"prompt": "And?"}])
    assert [(row.number, row.response, row.needs_sampling) for row in rows] == [
        (1, "Hello", False),
        (2, None, True),
    ]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (7, "expected a text, or an object with one of prompt"),
        (None, "got None"),
        ("", "the prompt is empty"),
        ({}, "it is empty"),
        ({"promt": "Hi"}, "it has promt: is promt meant as `prompt`?"),
        ({"prompt": 7}, "prompt is 7, expected text"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "Hi", "response": ""}, "response is empty: leave it out to be sampled"),
        ({"prompt": "Hi", "response": 7}, "response is 7, expected text"),
        ({"messages": "Hi"}, "messages is 'Hi', expected a list of messages"),
        ({"messages": []}, "messages holds no message"),
        ({"messages": ["Hi"]}, "messages[0] expected a message (role, content), got 'Hi'"),
        ({"messages": [{"role": "user"}]}, "messages[0] has no content"),
        ({"messages": [{"content": "Hi"}]}, "messages[0] has no role"),
        ({"messages": [{"role": "usr", "content": "Hi"}]}, "did you mean `user`?"),
        ({"messages": [SYSTEM]}, "ends with a system message"),
        ({"messages": [USER, BOT], "response": "x"}, "so response answers nothing"),
        ({"prompt": [USER], "completion": [MORE]}, "completion is not an assistant message"),
        ({"prompt": [USER, BOT, MORE], "completion": [CALLED, TOLD, BOT]}, "cannot be told apart"),
        ({"conversations": [{"from": "alien", "value": "x"}]}, "unknown role 'alien'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]},
            "only text can be baked",
        ),
        ({"prompt": "Hi", "prefix_messages": "Be kind."}, "prefix_messages is 'Be kind.'"),
        ({"prompt": "Hi", "prefix_messages": [{"role": "user"}]}, "prefix_messages[0] has no"),
        ({"prompt": "Hi", "tools": ["x"]}, "tools holds 'x'"),
    ],
)  # fmt: skip
def test_a_bad_record_is_refused_with_its_number(record, said):
    message = refused("fine", record)
    assert said in message
    assert message.startswith("the data set: row 2: ")


def test_the_first_bad_rows_are_listed_and_the_rest_counted():
    message = refused(*[{"x": 1}] * 9)
    assert message.count("\n") == 5
    assert message.endswith("... and 4 more")
