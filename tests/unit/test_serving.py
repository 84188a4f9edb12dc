"""What a server understands and says, without a model: forms, texts, calls, guards, names."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from bakery.app.serve import Catalogue
from bakery.errors import ConfigError, ModelError, RepoError
from bakery.reporting import Quiet
from bakery.server import calls, forms, guard, names, running
from bakery.server.errors import RequestError
from bakery.server.text import Until, named
from tests.support import recorded
from tests.support.recorded import git

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


def asked(app: guard.Guard, headers: dict[str, str], path: str = "/v1/models") -> int:
    """Return the status of a request through a guard."""
    status = []

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "headers": pairs, "query_string": b""}
    asyncio.run(app(scope, receive, send))
    return status[0]


HERE = {"Host": "127.0.0.1:8000"}
TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (HERE, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({}, 403),
        ({"Host": "[::1"}, 403),
        ({**HERE, "Origin": "http://127.0.0.1:8000"}, 200),
        ({**HERE, "Origin": "http://localhost:8000"}, 403),
        ({**HERE, "Origin": "https://evil.example"}, 403),
        ({**HERE, "Origin": "null"}, 403),
        ({**HERE, "Origin": "http://["}, 403),
        ({"Host": "127.0.0.1:8000/v1/elsewhere?"}, 403),
        ({"Host": "ann@127.0.0.1:8000"}, 403),
        ({"Host": "127.0.0.1#x"}, 403),
        ({"Host": "127.0.0.1:port"}, 403),
        ({**HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({**HERE, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        (
            {
                **HERE,
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "iframe",
            },
            403,
        ),
        (
            {
                **HERE,
                "Sec-Fetch-Site": "cross-site",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Dest": "document",
            },
            200,
        ),
        ({**HERE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({**HERE, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ({**HERE, "Content-Length": str(9 << 20)}, 413),
    ],
)
def test_without_a_token_only_this_machine_may_ask(headers, status):
    assert asked(guard.Guard(PlainTextResponse("yes")), headers) == status


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, "/v1/models", 200),
        ({"Authorization": f"bearer  {TOKEN} "}, "/v1/models", 200),
        ({"Authorization": f"Bearer {TOKEN}x"}, "/v1/models", 401),
        ({"Authorization": f"Basic {TOKEN}"}, "/v1/models", 401),
        ({}, "/v1/models", 401),
        ({}, "/health", 200),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}, "/", 403),
    ],
)
def test_with_a_token_who_has_it_may_ask(headers, path, status):
    app = guard.Guard(PlainTextResponse("yes"), tokens=[TOKEN])
    assert asked(app, {"Host": "models.example", **headers}, path) == status


@pytest.mark.parametrize("text", ["", "short", f"{TOKEN}\nshort"])
def test_a_token_that_could_be_guessed_is_refused(tmp_path, text):
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="--token-file"):
        guard.tokens(tmp_path / "token")


def test_tokens_are_the_lines_of_a_file(tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n{TOKEN}2\n")
    assert guard.tokens(tmp_path / "token") == (TOKEN, f"{TOKEN}2")
    with pytest.raises(ConfigError, match="cannot be read"):
        guard.tokens(tmp_path / "none")


def test_a_mark_before_a_token_is_none_of_it_and_what_no_header_carries_is_refused(tmp_path):
    (tmp_path / "token").write_text(TOKEN, "utf-8-sig")
    assert guard.tokens(tmp_path / "token") == (TOKEN,)
    for sign in ("ü", "\0", "\x7f"):
        (tmp_path / "token").write_text(f"{TOKEN}{sign}", "utf-8")
        with pytest.raises(ConfigError, match="no client can send"):
            guard.tokens(tmp_path / "token")


def test_other_machines_need_a_token_and_a_port_that_is_free(repo):
    with (
        pytest.raises(ConfigError, match="lets other machines ask"),
        running.opened(repo, host="0.0.0.0", port=0, reporter=Quiet()),
    ):
        pass
    taken = running.listening("127.0.0.1", 0)
    taken.listen()
    with taken, pytest.raises(ConfigError, match="is taken"):
        running.listening("127.0.0.1", taken.getsockname()[1])


@pytest.fixture
def baked(repo):
    """A repository with one bake, of which the weights are not here."""
    recorded.baked(repo, "pirate")
    return repo


NO_NAMES = (
    "", ".", "./out", "/etc/passwd", "~/x", "../up", "a/../b", "-x", "a b", "a\nb", "a\0b",
    ":/text", "HEAD^{/text}", "main@{1}", "x" * 400,
)  # fmt: skip


def test_no_name_of_a_request_leads_to_a_file_or_into_git(baked):
    catalogue = Catalogue(baked)
    for name in NO_NAMES:
        with pytest.raises(RepoError, match="is no name of a model"):
            catalogue.find(name)


def test_a_folder_is_no_model_over_http(baked, monkeypatch):
    monkeypatch.chdir(baked.root)
    folder = baked.root / "mine"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "tiny"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(RepoError, match="there is no model 'mine'"):
        Catalogue(baked).find("mine")


def test_an_error_tells_no_path_and_no_command(baked):
    for name in ("pirate", "pirate:0.5", "pirate@prompted"):
        with pytest.raises(ModelError, match="are not in this clone's store") as caught:
            Catalogue(baked).find(name)
        assert str(baked.root) not in caught.value.message
        assert caught.value.hint is None


def test_names_are_those_of_now(baked):
    catalogue = Catalogue(baked)
    assert catalogue.find("base").name == "tiny-1"
    with pytest.raises(RepoError, match="there is no model 'later'"):
        catalogue.find("later")
    git(baked.root, "branch", "later", "HEAD~1")
    assert catalogue.find("later").name == "tiny-1"
    model = baked.state().parent
    baked.revert(["pirate"], Quiet())
    with pytest.raises(RepoError, match="was taken back, by commit"):
        catalogue.find(str(model))
    assert catalogue.find("parent").name == "tiny-1"


def test_what_nothing_was_baked_into_has_no_strength_and_no_prompt(repo):
    catalogue = Catalogue(repo)
    for name in ("base:0.5", "base@prompted", "parent:2"):
        what = "prompt" if "@" in name else "strength"
        with pytest.raises(ConfigError, match=f"carries no bake, so there is no {what}"):
            catalogue.find(name)


def test_listed_is_what_can_answer(baked):
    names = {one.name for one in Catalogue(baked).listed()}
    assert names == {"tiny-1", "base"}  # the weights of the bake are not here
    model = baked.state().parent
    folder = baked.store.bake(model.bake_id) / str(model.step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    found = {one.name: one.model for one in Catalogue(baked).listed()}
    assert {n for n, m in found.items() if m == str(model)} == {
        str(model), "pirate", "parent", baked.git.branch()
    }  # fmt: skip
    assert found[str(model)] == str(model)


def models_of(catalogue):
    """Return the status of GET /v1/models, and its body."""
    app = Starlette(routes=names.routes(catalogue), exception_handlers={RequestError: refused})
    with TestClient(app) as client:
        found = client.get("/v1/models")
        return found.status_code, found.json()


async def refused(request, error):
    return error.answer()


def test_a_moment_that_is_none_keeps_no_model_from_the_list(baked):
    model = baked.state().parent
    folder = baked.store.bake(model.bake_id) / str(model.step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    file = baked.root / "recipe.yml"
    text = re.sub("finished: .*", "finished: yesterday", file.read_text("utf-8"))
    assert "yesterday" in text
    file.write_text(text, "utf-8")
    git(baked.root, "commit", "-qam", "Edit")
    status, said = models_of(Catalogue(baked))
    assert status == 200
    assert {one["created"] for one in said["data"] if one["root"] == str(model)} == {0}


def test_a_repository_that_cannot_be_read_is_told_where_models_are_listed(baked):
    catalogue = Catalogue(baked)
    (baked.root / ".bread").write_text("", "utf-8")
    status, said = models_of(catalogue)
    assert (status, said["error"]["message"][:29]) == (500, ".bread cannot be read: REPO i")
    (baked.root / ".bread").unlink()
    status, said = models_of(catalogue)
    assert (status, str(baked.root) in said["error"]["message"]) == (500, False)
    baked.root.rename(baked.root.with_name("moved"))
    status, said = models_of(catalogue)
    assert (status, str(baked.root) in said["error"]["message"]) == (500, False)


def test_a_branch_whose_name_is_no_text_is_not_listed(baked):
    with (baked.git.common_dir / "packed-refs").open("ab") as file:
        file.write(baked.git.head().encode() + b" refs/heads/\xff\n")
    status, said = models_of(Catalogue(baked))
    assert status == 200
    assert {one["id"] for one in said["data"]} == {"tiny-1", "base"}
