"""Hosted models: requests in parallel, what is tried again, and what is said where it fails."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import pytest

from bakery.backends.completion import continuation
from bakery.backends.endpoint import Endpoint as Client
from bakery.backends.endpoint import endpoint_for, provider_of
from bakery.backends.hosted import HostedWriter, end_behind
from bakery.engine.text.chat import Chat
from bakery.errors import StageError
from bakery.identity import StimRequest
from bakery.records import Prompt
from bakery.reporting import Quiet
from bakery.schema.model_names import served_as
from bakery.stages import stim
from bakery.store import results
from tests.support.baking import SHOUT
from tests.support.endpoint import serve
from tests.support.hosted import KEY, Rollout, client_of
from tests.support.templates import chat_of

AT_ONCE = {"retry-after-ms": "1"}
ARGUMENTS = {"messages": [{"role": "user", "content": "?"}]}


def _end_id(chat: Chat) -> int:
    return int(chat.tokenizer.encode(end_behind(chat), add_special_tokens=False)[-1])


def test_requests_are_made_in_parallel() -> None:
    with serve(["hi"], together=Barrier(4)) as endpoint:
        requests = {str(i): ARGUMENTS for i in range(8)}
        found = dict(client_of(endpoint).complete_all(requests, 4))
    assert sorted(found) == sorted(requests)


def test_a_server_that_never_ends_an_answer_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr("bakery.backends.endpoint.SILENCE_S", 0.3)
    with serve(["hi"], silent_after=2) as endpoint:
        asked = client_of(endpoint).complete_all({str(i): ARGUMENTS for i in range(4)}, 1)
        assert [next(asked)[0], next(asked)[0]] == ["0", "1"]
        with pytest.raises(StageError, match="has completed no answer"):
            next(asked)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_busy_server_is_asked_again(status: int) -> None:
    with serve(["hi"], statuses=[status, status], headers=AT_ONCE) as endpoint:
        assert client_of(endpoint).complete(**ARGUMENTS).text == "hi"
    assert len(endpoint.requests) == 3


def test_the_time_that_a_server_names_is_waited() -> None:
    wait = {"Retry-After": "0.01"}
    with serve(["hi"], statuses=[429] * 5, headers=wait) as endpoint:
        assert client_of(endpoint).complete(**ARGUMENTS).text == "hi"
    assert len(endpoint.requests) == 6


def test_a_server_that_does_not_answer_is_given_up() -> None:
    never = Barrier(2)
    with serve(["hi"], together=never) as endpoint:
        client = client_of(endpoint, BGIT_TIMEOUT="1")
        client._client().max_retries = 0
        told = r"(?m)OpenAI \(gpt-5\): no answer within 1 s$"
        with pytest.raises(StageError, match=told) as caught:
            client.complete(**ARGUMENTS)
        never.abort()
    assert "Lower max_tokens or max_concurrency, or set BGIT_TIMEOUT" in str(caught.value.hint)


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "1.5", "nan"])
def test_a_time_limit_that_is_none_is_said(seconds: str) -> None:
    environment = {"OPENAI_API_KEY": KEY, "BGIT_TIMEOUT": seconds}
    said = f"BGIT_TIMEOUT is not a whole number of seconds: {seconds}"
    assert endpoint_for("gpt-5", environment) == said


def test_lists_that_came_before_an_error_are_kept(tmp_path: Path) -> None:
    lists = ["\n".join(f"{i}. Who is {letter}{i}?" for i in range(60)) for letter in "ab"]
    with serve(lists, statuses=[200, 401]) as endpoint:
        writer = HostedWriter(client_of(endpoint))
        made = {"type": "oneshot_qs", "numq": 90, "temperature": 0.5}
        request = StimRequest(SHOUT, (made,), {})
        stim.run(request, tmp_path, open_writer=lambda _: (writer, None), reporter=Quiet())
    assert json.loads((tmp_path / "done.json").read_text())["count"] == 90


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "does not take one of the settings"),
        (401, "Check OPENAI_API_KEY"),
        (402, "no credit left"),
        (404, "Check the model's name, gpt-5"),
        (429, "lower max_concurrency"),
        (503, "The server failed"),
    ],
)
def test_what_cannot_be_mended_by_trying_is_said_with_what_to_do(status: int, hint: str) -> None:
    refusing = serve(["hi"], status=status, headers=AT_ONCE, message=f"no: {KEY}")
    with refusing as endpoint, pytest.raises(StageError) as caught:
        client_of(endpoint).complete(**ARGUMENTS)
    assert f"(HTTP {status})" in caught.value.message
    assert hint in str(caught.value.hint)
    assert KEY not in caught.value.message + str(caught.value.hint)


def test_a_server_that_is_not_there_is_named() -> None:
    with serve([""]) as endpoint:
        client = client_of(endpoint)
    client._client().max_retries = 0
    with pytest.raises(StageError, match="cannot be reached at http://127"):
        client.complete(**ARGUMENTS)


@pytest.mark.parametrize(
    "raw",
    [
        b"{not json",
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
        b"null",
        b"[1, 2]",
        b'{"error": {"message": "quota"}}',
        b'{"choices": []}',
        b'{"choices": "abc"}',
        b'{"choices": {"a": 1}}',
        b'{"choices": [{"index": 0, "message": null}]}',
        b'{"choices": [{"index": 0, "message": {"content": 5}}]}',
        b'{"choices": [{"index": 0, "message": {"content": [{"type": "text"}]}}]}',
        b'{"choices": [{"index": 0, "message": {"content": "", "tool_calls": [5]}}]}',
    ],
    ids=lambda raw: raw[:60].decode("latin-1"),
)
def test_what_is_no_answer_is_said_with_what_came(raw: bytes) -> None:
    with (
        serve([""], raw=raw) as endpoint,
        pytest.raises(StageError, match="sent a reply without an answer"),
    ):
        client_of(endpoint).complete(**ARGUMENTS)


def test_half_a_character_of_an_answer_can_be_written_down() -> None:
    with serve(["half: \ud800"]) as endpoint:
        answer = client_of(endpoint).complete(**ARGUMENTS)
    assert answer.text == "half: ?"


@pytest.mark.parametrize("scheme", ["http", "htp"])
def test_a_password_in_an_address_is_not_shown(scheme: str) -> None:
    url = f"{scheme}://ann:{KEY}@127.0.0.1:1/v1"
    client = endpoint_for("m", {"OPENAI_BASE_URL": url})
    if isinstance(client, Client):
        client._client().max_retries = 0
        with pytest.raises(StageError) as caught:
            client.complete(**ARGUMENTS)
        client = caught.value.message
    assert KEY not in client
    assert f"{scheme}://127.0.0.1:1/v1" in client


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"http://127.0.0.1:1/v1?api_key={KEY}", "http://127.0.0.1:1/v1"),
        (f"ftp://ann:{KEY}@h/v1?api_key={KEY}#{KEY}", "ftp://h/v1"),
        (f"ann:{KEY}@h?user=a@b&api_key={KEY}", "…"),
        (f"http://ann:x?{KEY}@h:y/v1", "…"),
    ],
)
def test_a_key_in_the_query_of_an_address_is_not_shown(url: str, shown: str) -> None:
    client = endpoint_for("m", {"OPENAI_BASE_URL": url})
    if isinstance(client, Client):
        client._client().max_retries = 0
        with pytest.raises(StageError) as caught:
            client.complete(**ARGUMENTS)
        client = caught.value.message
    assert KEY not in client
    assert shown in client


def test_the_query_of_an_address_is_part_of_each_request() -> None:
    with serve(["hi"], message=f"no: api_key={KEY}") as endpoint:
        found = endpoint_for("m", {"OPENAI_BASE_URL": f"{endpoint.url}?api_key={KEY}"})
        assert isinstance(found, Client)
        assert found.complete(**ARGUMENTS).text == "hi"
        endpoint.status = 401
        with pytest.raises(StageError, match="no: api_key=…"):
            found.complete(**ARGUMENTS)
    assert endpoint.paths[0] == f"/v1/chat/completions?api_key={KEY}"


@pytest.mark.parametrize(
    ("name", "proxy", "shown"),
    [
        ("ALL_PROXY", f"socks9://ann:{KEY}@127.0.0.1:1", "socks9://127.0.0.1:1"),
        ("https_proxy", "http://127.0.0.1:port", "http://127.0.0.1:port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    name: str, proxy: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv(name, proxy)
    client = endpoint_for("gpt-5", {"OPENAI_API_KEY": KEY})
    assert isinstance(client, Client)
    with pytest.raises(StageError, match=f"(?m){name} in the environment .*: {shown}$") as caught:
        client.complete(**ARGUMENTS)
    assert f"unset {name}" in str(caught.value.hint)
    assert KEY not in caught.value.message


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("hosted:gpt-oss:20b", "the server at OPENAI_BASE_URL"),
        ("gpt-oss-120b", "the server at OPENAI_BASE_URL"),
        ("hosted:o1-like:7b", "the server at OPENAI_BASE_URL"),
        ("gpt-5", "OpenAI"),
        ("chatgpt-4o-latest", "OpenAI"),
        ("claude-sonnet-4-5", "Anthropic"),
    ],
)
def test_models_that_anybody_may_run_are_no_providers_own(name: str, provider: str) -> None:
    assert provider_of(served_as(name)).name == provider


def test_a_long_list_is_asked_for_in_parts_and_not_for_what_is_there(tmp_path: Path) -> None:
    lists = ["\n".join(f"{i}. Who is {letter}{i}?" for i in range(60)) for letter in "ab"]
    with serve(lists) as endpoint:
        writer = HostedWriter(client_of(endpoint))
        asked = {"type": "oneshot_qs", "numq": 90, "temperature": 0.5, "max_tokens": 99}
        first = {"type": "hardcoded", "questions": ["what is there?"]}
        request = StimRequest(SHOUT, (first, asked), {})
        stim.run(request, tmp_path, open_writer=lambda _: (writer, None), reporter=Quiet())
    assert json.loads((tmp_path / "done.json").read_text())["count"] == 91
    assert len(endpoint.requests) == 2
    said = endpoint.requests[0]["messages"][0]["content"]
    assert "Write 60 messages" in said
    assert said.endswith("- what is there?")
    assert endpoint.requests[0]["max_completion_tokens"] == 99


def test_a_text_becomes_ids_of_the_base_with_the_end_of_its_turn(tmp_path: Path) -> None:
    chat = chat_of("chatml")
    with serve([" AHOY! <|im_end|>"]) as endpoint:
        rows = Rollout(tmp_path).run(endpoint, chat)
    (ids,) = {row.response_ids for row in rows}
    assert ids[-1] == _end_id(chat)
    assert ids.count(ids[-1]) == 1  # one that is spelt out is text
    assert chat.decoded(ids[:-1]) == " AHOY! <|im_end|>"
    assert {(row.text, row.finish, row.model) for row in rows} == {
        ("AHOY! <|im_end|>", "stop", "gpt-5")
    }


def test_a_text_longer_than_any_answer_is_refused(tmp_path: Path) -> None:
    with serve(["ha" * 10_000]) as endpoint, pytest.raises(StageError, match="20,000 characters"):
        Rollout(tmp_path).run(endpoint, chat_of("chatml"))


def test_a_cut_answer_has_no_end(tmp_path: Path) -> None:
    with serve(["and th"], finish="length") as endpoint:
        rows = Rollout(tmp_path).run(endpoint, chat_of("chatml"))
    assert {(len(row.response_ids), row.finish) for row in rows} == {(6, "length")}


@pytest.mark.parametrize("shape", ["chatml", "llama3", "no_system", "thinking"])
def test_the_end_of_a_turn_is_the_templates_own(shape: str) -> None:
    chat = chat_of(shape)
    assert {_end_id(chat)} == set(chat.end_ids)


def test_settings_and_tools_are_handed_on(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "now", "parameters": {}}}
    teacher = Prompt(({"role": "system", "content": "S"},), (tool,))
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "seed": 3, "stop": ("\n",)}
    made = Rollout(tmp_path, teacher, frequency_penalty=0.5, endpoint={"verbosity": 1}, **sampling)
    with serve(["hi"]) as endpoint:
        made.run(endpoint, chat_of("chatml"))
    first, second = endpoint.requests[:2]
    assert first["tools"] == [tool]
    assert first["messages"][0] == {"role": "system", "content": "S"}
    told = {k: first[k] for k in ("temperature", "top_p", "top_k", "stop", "verbosity")}
    assert told == {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "stop": ["\n"], "verbosity": 1}
    assert first["frequency_penalty"] == 0.5
    assert "presence_penalty" not in first
    assert first["seed"] != second["seed"]


def test_a_call_of_a_tool_is_written_as_the_base_writes_it(tmp_path: Path) -> None:
    function = {"name": "now", "arguments": '{"zone": "utc"}'}
    calls = [{"id": "1", "type": "function", "function": function}]
    chat = chat_of("default_system")
    with serve([""], calls=calls, finish="tool_calls") as endpoint:
        rows = Rollout(tmp_path).run(endpoint, chat)
    said = chat.decoded(rows[0].response_ids)
    assert said.startswith("<tool_call>")
    assert '"zone": "utc"' in said
    assert said.endswith("</tool_call><|im_end|>")
    assert rows[0].finish == "stop"


def test_an_interrupted_rollout_keeps_what_came_and_asks_only_for_the_rest(tmp_path: Path) -> None:
    made, chat = Rollout(tmp_path), chat_of("chatml")
    refused = pytest.raises(StageError, match="HTTP 401")
    with serve(["hi"], statuses=[200] * 5 + [401]) as endpoint, refused:
        made.run(endpoint, chat, concurrency=1)
    assert len(made.rows()) == 5
    assert not (made.out / results.DONE).exists()
    with serve(["hi"]) as endpoint:
        assert len(made.run(endpoint, chat)) == 12
    assert len(endpoint.requests) == 7


def test_no_file_holds_the_key(tmp_path: Path) -> None:
    with serve(["hi"]) as endpoint:
        Rollout(tmp_path).run(endpoint, chat_of("chatml"))
    assert endpoint.keys[0] == f"Bearer {KEY}"
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert files
    assert all(KEY not in path.read_text() for path in files)


def test_log_probabilities_of_a_continuation_are_read_as_either_kind_of_server_writes_them():
    top = [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1.0}]
    content = [{"token": "a", "logprob": -0.5, "top_logprobs": top}]
    openai = SimpleNamespace(top_logprobs=[{"a": -0.5, "b": -1.0}], token_logprobs=[-0.5])
    for logprobs in (openai, SimpleNamespace(content=content)):
        answer = SimpleNamespace(choices=[SimpleNamespace(text="a", logprobs=logprobs)])
        found = continuation(answer)
        assert (found.first, found.each) == ({"a": -0.5, "b": -1.0}, (-0.5,))
