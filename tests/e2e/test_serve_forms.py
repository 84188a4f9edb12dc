"""Answers in a form over HTTP: JSON by a schema, calls of tools, by the client of OpenAI's."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from bakery.engine.serving import holding
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server import running
from bakery.server.running import Running
from tests.e2e.conftest import Typist, bgit
from tests.support.models import make_model, qwen3_config
from tests.support.templates import TOOLS

QUESTION = [{"role": "user", "content": "Who is Ann?"}]
PERSON = {
    "type": "object",
    "properties": {
        "name": {"enum": ["Ann", "Bob", "Žofie"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "likes": {"type": "array", "items": {"$ref": "#/$defs/food"}, "maxItems": 2},
        "nick": {"type": ["string", "null"], "maxLength": 5},
    },
    "required": ["name", "age", "likes", "nick"],
    "additionalProperties": False,
    "$defs": {"food": {"enum": ["bread", "buns"]}},
}
FORM = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
ANY = {"type": "json_object"}


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    given = {"type": "object", "properties": parameters, "required": [*parameters]}
    given |= {"additionalProperties": False}
    return {"type": "function", "function": {"name": name, "parameters": given}}


CLOCK = tool("clock", zone={"enum": ["UTC", "CET"]})
OVEN = tool("oven", degrees={"type": "integer", "minimum": 0, "maximum": 300})


@pytest.fixture(scope="module")
def repo(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> ModelRepo:
    """A repository on a model whose template shows tools."""
    folder = tmp_path_factory.mktemp("tools")
    config = qwen3_config(max_position_embeddings=1024)
    base = make_model(folder / "base", config, template=TOOLS)
    made = bgit("init", "demo", "--base-model", str(base), cwd=folder, **new_repository.env)
    assert made.code == 0, made.err
    return ModelRepo.find(folder / "demo")


@pytest.fixture(scope="module")
def server(repo: ModelRepo) -> Iterator[Running]:
    """A server of it."""
    with running.opened(repo, port=0, rows=4, reporter=Quiet()) as found:
        found.start()
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as found:
        yield found


def said(client: openai.OpenAI, **how: Any) -> Any:
    how = {"temperature": 0, "max_tokens": 400, "messages": QUESTION, **how}
    return client.chat.completions.create(model="base", **how)


def is_person(text: str) -> bool:
    found = json.loads(text)
    assert list(found) == ["name", "age", "likes", "nick"]
    assert found["name"] in ("Ann", "Bob", "Žofie")
    assert type(found["age"]) is int
    assert 0 <= found["age"] <= 120
    assert len(found["likes"]) <= 2
    assert set(found["likes"]) <= {"bread", "buns"}
    assert found["nick"] is None or len(found["nick"]) <= 5
    return True


def test_answers_are_what_their_schema_says_greedy_and_drawn(client):
    (greedy,) = said(client, response_format=FORM).choices
    drawn = said(client, response_format=FORM, temperature=2, n=4, seed=3).choices
    assert {choice.finish_reason for choice in (greedy, *drawn)} == {"stop"}
    assert all(is_person(choice.message.content) for choice in (greedy, *drawn))
    assert len({choice.message.content for choice in drawn}) == 4


def test_a_question_that_is_far_too_long_is_refused_before_all_of_it_is_read(client):
    long = [{"role": "user", "content": " " * (8_000_000)}]
    with pytest.raises(openai.BadRequestError, match="has more than") as caught:
        said(client, messages=long)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="has more than"):
        client.completions.create(model="base", prompt="é" * 1_000_000)


def test_a_temperature_that_nothing_can_be_divided_by_draws_the_likeliest(client):
    greedy, cold = (said(client, temperature=t, max_tokens=9) for t in (0, 1e-320))
    assert greedy.choices[0].message == cold.choices[0].message


def test_who_is_told_where_a_server_is_may_ask_before_it_runs(repo):
    with running.opened(repo, port=0, rows=1, reporter=Quiet()) as server:
        port = int(server.url.split(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as asked:
            asked.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            server.start()
            assert asked.recv(15) == b"HTTP/1.1 200 OK"


def test_a_form_holds_its_own_rows_and_no_others(client):
    asked = [{}, {"response_format": FORM}, {"temperature": 1, "seed": 1},
             {"response_format": FORM, "temperature": 1, "seed": 2}]  # fmt: skip

    def text(how: dict[str, Any]) -> str:
        return said(client, **how).choices[0].message.content

    alone = [text(how) for how in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(text, asked)) == alone
    assert len(set(alone)) == 4


def test_a_form_is_streamed_and_what_is_cut_says_so(client):
    how = {"response_format": FORM, "temperature": 1, "seed": 5}
    pieces = [chunk.choices[0].delta.content for chunk in said(client, stream=True, **how)]
    whole = said(client, **how).choices[0].message.content
    assert "".join(filter(None, pieces)) == whole
    cut = said(client, response_format=FORM, max_tokens=9).choices[0]
    assert (cut.finish_reason, len(cut.message.content)) == ("length", 9)
    any_object = said(client, response_format=ANY, max_tokens=5).choices[0]
    assert any_object.message.content.startswith("{")


def test_log_probabilities_are_those_of_a_model_that_is_held_to_nothing(client):
    how = {"logprobs": True, "top_logprobs": 3, "max_tokens": 1}
    held, free = (
        said(client, **how, **form).choices[0].logprobs.content[0]
        for form in ({"response_format": ANY}, {})
    )
    assert [one.logprob for one in held.top_logprobs] == [one.logprob for one in free.top_logprobs]
    assert held.token == "{" != free.token
    assert held.logprob < free.logprob


def test_a_tool_is_called_answered_and_its_answer_read(client):
    tools = [CLOCK, OVEN]
    called = said(client, tools=tools, tool_choice="required", parallel_tool_calls=False)
    message = called.choices[0].message
    (call,) = message.tool_calls
    assert (called.choices[0].finish_reason, message.content) == ("tool_calls", None)
    given = json.loads(call.function.arguments)
    assert (call.function.name, [*given]) in (("clock", ["zone"]), ("oven", ["degrees"]))
    answer = {"role": "tool", "tool_call_id": call.id, "content": "It is noon."}
    told = [*QUESTION, message.model_dump(exclude_none=True), answer]
    last = said(client, tools=tools, messages=told, max_tokens=8)
    grown = len(json.dumps(given)) + len("It is noon.")
    assert last.usage.prompt_tokens > called.usage.prompt_tokens + grown
    assert last.choices[0].message.content


def test_a_named_tool_is_the_one_that_is_called_in_a_stream_too(client):
    choice = {"type": "function", "function": {"name": "oven"}}
    how = {"tools": [CLOCK, OVEN], "tool_choice": choice, "temperature": 1, "seed": 4}
    (call,) = said(client, **how).choices[0].message.tool_calls
    assert call.function.name == "oven"
    assert 0 <= json.loads(call.function.arguments)["degrees"] <= 300
    chunks = [chunk.choices[0] for chunk in said(client, stream=True, **how)]
    (streamed,) = [chunk.delta.tool_calls[0] for chunk in chunks if chunk.delta.tool_calls]
    assert streamed.function.model_dump() == call.function.model_dump()
    assert chunks[-1].finish_reason == "tool_calls"


def test_an_answer_that_may_call_and_has_a_form_is_one_of_the_two(client):
    how = {"tools": [CLOCK], "response_format": FORM, "temperature": 1, "n": 6, "seed": 1}
    for choice in said(client, **how).choices:
        if choice.message.tool_calls:
            assert choice.message.tool_calls[0].function.name == "clock"
        else:
            assert is_person(choice.message.content)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"tool_choice": "required"}, "is for requests with `tools`"),
        ({"tools": [OVEN], "tool_choice": {"type": "function", "function": {"name": "clock"}}},
         "not among `tools`"),
        ({"response_format": {"type": "json_schema"}}, "has a `json_schema`"),
        ({"response_format": {"type": "yaml"}}, "Invalid value for 'response_format.type'"),
    ],
)  # fmt: skip
def test_a_form_that_means_nothing_is_refused(client, how, told):
    with pytest.raises(openai.BadRequestError, match=told):
        said(client, **how)


def refused(client: openai.OpenAI, schema: dict[str, Any]) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError) as caught:
        said(client, response_format=form)
    return caught.value.message


def test_a_schema_that_cannot_be_held_is_refused_with_the_reason(client):
    assert "Unimplemented keys" in refused(client, {"type": "array", "uniqueItems": True})
    assert "there is nothing that it allows" in refused(client, {"$ref": "#"})
    assert "look-around" in refused(client, {"type": "string", "pattern": "(?=a)b"})


def test_a_schema_that_would_take_for_ever_is_refused_and_nobody_waits(client, monkeypatch):
    monkeypatch.setattr(holding, "COMPILING_CPU_S", 1)
    with ThreadPoolExecutor(1) as pool:
        bomb = pool.submit(refused, client, {"type": "integer", "multipleOf": 9999991})
        assert said(client, max_tokens=4).choices[0].message.content
        assert said(client, response_format=FORM).choices[0].message.content
        assert "too long to compile" in bomb.result()
