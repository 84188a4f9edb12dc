"""What a server understands and says, without a model: forms, texts, calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bakery.server import calls, forms
from bakery.server.errors import RequestError
from bakery.server.text import Until, named

ASKED = {"model": "base", "messages": [{"role": "user", "content": "Who?"}]}


def read(kind: type = forms.ChatForm, **changes: object) -> Any:
    base = ASKED if kind is forms.ChatForm else {"model": "base", "prompt": "Who?"}
    return forms.read(json.dumps({**base, **changes}).encode(), kind)


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"frobnicate": 1}, "frobnicate", "Unrecognized request argument"),
        ({"temperature": 3}, "temperature", "Invalid value"),
        ({"temperature": "hot"}, "temperature", "Invalid value"),
        ({"repetition_penalty": 1e-300}, "repetition_penalty", "Invalid value"),
        ({"messages": [{"role": "user", "content": "?"}] * 20_000}, "messages", "at most 16384"),
        ({"n": 0}, "n", "Invalid value"),
        ({"top_logprobs": 21}, "top_logprobs", "Invalid value"),
        ({"messages": []}, "messages", "Invalid value"),
        ({"messages": None}, "messages", "Invalid value"),
        ({"messages": [{"role": "god", "content": "?"}]}, "messages.0.role", "Invalid value"),
        ({"stop": [""]}, "stop.0", "Invalid value"),
        ({"logit_bias": {"1": 5}}, "logit_bias", "not supported"),
        ({"store": True}, "store", "not supported.*kept here: leave it out"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "Invalid value"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
         "response_format.json_schema.schema", "Missing"),
        ({"tool_choice": "always"}, "tool_choice", "Invalid value"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function", "Missing"),
        ({"modalities": ["audio"]}, "modalities", "not supported"),
        ({"functions": []}, "functions", "not supported"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_its_name(changes, param, said):
    with pytest.raises(RequestError, match=said) as caught:
        read(**changes)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "ann", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
        {"response_format": {"type": "text"}, "modalities": ["text"], "logit_bias": {}},
        {"temperature": 1, "top_p": None, "stop": "\n", "seed": -5, "n": None},
        {"messages": [{"role": "assistant", "content": None, "refusal": None, "tool_calls": None}]},
    ],
)
def test_what_changes_nothing_is_taken(changes):
    assert read(**changes).model == "base"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 1e999}', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_form_is_refused(body):
    with pytest.raises(RequestError) as caught:
        forms.read(body, forms.ChatForm)
    assert caught.value.status == 400


def test_a_mistake_is_told_without_what_was_sent():
    with pytest.raises(RequestError) as caught:
        read(messages=[{"role": "user", "content": {"my secret": 1}}])
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("a", ["a"]), ([1, 2], [[1, 2]]), (["a", "b"], ["a", "b"]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_a_prompt_is_text_or_ids_one_or_many(prompt, prompts):
    assert read(forms.TextForm, prompt=prompt).prompts() == prompts


@pytest.mark.parametrize("changes", [{"suffix": "x"}, {"best_of": 3}, {"prompt": [-1]}])
def test_what_a_completion_cannot_have_is_refused(changes):
    with pytest.raises(RequestError):
        read(forms.TextForm, **changes)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["on", "e ST", "OP two"], "one "),
        (["one S", "T", "X"], "one STX"),
        (["ST", "ST", "OP"], "ST"),
        (["abEND", "STOP"], "ab"),
        (["S"], "S"),
        ([], ""),
    ],
)
def test_text_ends_before_a_stop(pieces, shown):
    until = Until(["STOP", "END"])
    assert "".join(until.add(piece) for piece in pieces) + until.rest() == shown


def test_what_may_begin_a_stop_waits_and_nothing_else_does():
    until = Until(["STOP"])
    assert [until.add(piece) for piece in ("one S", "T", "X", "S", "TOP", "more")] == [
        "one ", "", "STX", "", "", "",
    ]  # fmt: skip
    assert until.is_over


def test_a_part_of_a_character_has_a_name_of_its_own():
    assert named("é".encode()) == "é"
    assert named(b"\xc3") == "bytes:\\xc3"


CALL = '<tool_call>\n{"name": "now", "arguments": {"zone": "UTC"}}\n</tool_call>'


@pytest.mark.parametrize(
    ("text", "said", "called"),
    [
        (CALL, "", ["now"]),
        (f"Let me see. {CALL}", "Let me see. ", ["now"]),
        (CALL + "\n" + CALL, "", ["now", "now"]),
        ('{"name": "now", "parameters": {"zone": "UTC"}}', "", ["now"]),
        ('{"name": "now"}', '{"name": "now"}', []),
        ("1 < 2 <tool", "1 < 2 <tool", []),
        ("<tool_call>broken</tool_call>", "<tool_call>broken</tool_call>", []),
        ("{ no JSON", "{ no JSON", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_call_is_told_from_text_however_it_arrives(text, said, called, size):
    called_so_far = calls.Called()
    shown = [called_so_far.add(text[at : at + size]) for at in range(0, len(text), size)]
    rest, found = called_so_far.end()
    assert "".join(shown) + rest == said
    assert [call["function"]["name"] for call in found] == called
    assert all(json.loads(call["function"]["arguments"]) == {"zone": "UTC"} for call in found)


def test_arguments_of_calls_are_objects_for_a_template():
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    (said,) = calls.with_objects([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert said["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert call["function"]["arguments"] == '{"a": 1}'
