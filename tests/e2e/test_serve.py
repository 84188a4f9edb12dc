"""A repository behind OpenAI's API, asked by the client of OpenAI's, on a small random model."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

import bakery
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server import guard, running
from bakery.server.running import Running
from tests.e2e.conftest import Typist, copied

ROWS = 4
MOST = ROWS * (1 + running.WAITING)
QUESTION = [{"role": "user", "content": "q1 what?"}]


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("served") / "demo")


@pytest.fixture(scope="module")
def server(typist: Typist) -> Iterator[Running]:
    """A server in this process, on this machine alone."""
    repo = ModelRepo.find(typist.root)
    with running.opened(repo, port=0, rows=ROWS, reporter=Quiet()) as found:
        found.start()
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def alone(typist: Typist) -> Callable[[str], bakery.Model]:
    """The same models, loaded one by one as `bgit chat` does."""
    repo, loaded = bakery.Repo(typist.root, progress=False), {}

    def load(name: str) -> bakery.Model:
        if name not in loaded:
            loaded[name] = repo.chat(name)
        return loaded[name]

    return load


def said(client: openai.OpenAI, model: str, **how: Any) -> Any:
    how = {"temperature": 0, "max_tokens": 12, "messages": QUESTION, **how}
    return client.chat.completions.create(model=model, **how)


def text(client: openai.OpenAI, model: str, **how: Any) -> str:
    return said(client, model, **how).choices[0].message.content


def until(happened: Callable[[], bool]) -> None:
    """Wait for what happens in another thread, for a minute at most."""
    for _ in range(6000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def refused(client: openai.OpenAI, model: str, **how: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        said(client, model, **how)
    return caught.value


NAMES = ("base", "first", "second", "second:0.5", "second@prompted", "HEAD~1")


def test_answers_are_those_of_each_model_alone_though_all_are_asked_at_once(client, alone):
    with ThreadPoolExecutor(12) as pool:
        greedy = list(pool.map(lambda name: text(client, name), NAMES))
        drawn = list(
            pool.map(lambda name: text(client, name, temperature=1, seed=11).strip(), NAMES)
        )
    assert greedy == [alone(name).chat(QUESTION, max_tokens=12) for name in NAMES]
    how = {"max_tokens": 12, "temperature": 1.0, "seed": 11}
    assert drawn == [alone(name).generate([QUESTION], **how)[0] for name in NAMES]
    assert len(set(drawn)) > 2


@pytest.mark.parametrize("name", ["first", "second:0.5"])
def test_log_probabilities_are_those_of_the_model_loaded_alone(client, alone, name):
    found = said(client, name, logprobs=True, top_logprobs=3, max_tokens=1).choices[0].logprobs
    of_each = alone(name).logits(QUESTION)[-1].log_softmax(dim=-1)
    values, _ = of_each.topk(3)
    (one,) = found.content
    told = torch.tensor([top.logprob for top in one.top_logprobs])
    torch.testing.assert_close(told, values, atol=1e-4, rtol=0)
    assert one.logprob == one.top_logprobs[0].logprob


def test_a_prompt_is_measured_as_log_likelihood_tasks_do(client, alone):
    ids = [40, 41, 42, 43, 44]
    made = client.completions.create(
        model="second", prompt=ids, max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    told = made.choices[0].logprobs
    log_probs = alone("second").logits(ids).log_softmax(dim=-1)
    expected = log_probs[torch.arange(4), torch.tensor(ids[1:])]
    assert told.token_logprobs[0] is None
    measured = torch.tensor(told.token_logprobs[1:5])
    torch.testing.assert_close(measured, expected, atol=1e-4, rtol=0)
    assert len(told.tokens) == len(told.top_logprobs) == len(told.text_offset) == 6
    assert max(told.top_logprobs[5].values()) == told.token_logprobs[5]  # the likeliest was said
    assert made.choices[0].text.startswith("FGHIJ")


def test_a_prompt_alone_is_measured_without_saying_anything(client):
    made = client.completions.create(
        model="first", prompt=["Who?", "Why so?"], max_tokens=0, echo=True, logprobs=0
    )
    assert [choice.text for choice in made.choices] == ["Who?", "Why so?"]
    assert [len(choice.logprobs.tokens) for choice in made.choices] == [4, 7]
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (11, 0)


def test_a_stream_is_the_whole_answer_in_pieces(client):
    how = {"temperature": 1, "seed": 7, "n": 2, "logprobs": True}
    whole = said(client, "second", **how)
    texts, scores, roles, usage = ["", ""], [0, 0], [], None
    options = {"include_usage": True}
    for chunk in said(client, "second", stream=True, stream_options=options, **how):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            roles += [choice.delta.role] if choice.delta.role else []
            scores[choice.index] += len(choice.logprobs.content) if choice.logprobs else 0
    assert texts == [choice.message.content for choice in whole.choices]
    assert scores == [len(choice.logprobs.content) for choice in whole.choices]
    assert roles == ["assistant", "assistant"]
    assert (usage.prompt_tokens, usage.total_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.total_tokens,
    )
    assert usage.completion_tokens == 24


def test_the_same_seed_says_the_same_and_another_does_not(client):
    def drawn(seed: int | None) -> list[str]:
        made = said(client, "first", temperature=1, n=2, seed=seed)
        return [choice.message.content for choice in made.choices]

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(drawn, [5, 5, 5]))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] != answers[0][1]
    assert drawn(6) != answers[0]
    assert drawn(None) != drawn(None)


def test_what_is_asked_again_is_cached_for_that_model_alone(client):
    long = [{"role": "user", "content": "Tell me all that you know of bread, and of ovens." * 4}]

    def cached(name: str) -> int:
        used = said(client, name, messages=long, max_tokens=2).usage
        assert used.prompt_tokens > 200
        return used.prompt_tokens_details.cached_tokens

    assert cached("first") < 20  # how every question begins
    assert cached("first") > 200
    assert max(cached("first:0.5"), cached("base")) < 20


def test_an_answer_ends_before_a_stop(client):
    whole = text(client, "first")
    stop = whole[3:5]
    made = said(client, "first", stop=["no such text", stop]).choices[0]
    assert (made.message.content, made.finish_reason) == (whole[: whole.index(stop)], "stop")
    pieces = said(client, "first", stop=stop, stream=True)
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == made.message.content


def test_names_are_listed_and_looked_up(client, typist):
    listed = {model.id: model for model in client.models.list().data}
    current = typist.parent()
    assert {"base", "parent", "main", "first", "second", current} <= set(listed)
    assert listed["second"].root == listed["main"].root == current
    assert not any(name.startswith("/") for name in listed)  # where the base lies
    assert client.models.retrieve(current).id == current
    assert said(client, "second@prompted:0.25", max_tokens=1).model == f"{current}@prompted:0.25"
    assert said(client, "base", max_tokens=1).model == "base"


@pytest.mark.parametrize(
    ("name", "how", "status", "code"),
    [
        ("nobody", {}, 404, "model_not_found"),
        ("/etc/passwd", {}, 404, "model_not_found"),
        ("base:0.5", {}, 400, None),
        ("first", {"extra_body": {"frobnicate": 1}}, 400, "unknown_parameter"),
        ("first", {"temperature": 9}, 400, "invalid_value"),
        ("first", {"n": MOST + 1}, 400, None),
        ("first", {"logit_bias": {"1": 5}}, 400, "unsupported_parameter"),
        ("first", {"store": True}, 400, "unsupported_parameter"),
        ("first", {"max_tokens": 5000}, 400, "context_length_exceeded"),
        ("first", {"messages": [{"role": "user", "content": "?" * 600}]}, 400,
         "context_length_exceeded"),
        ("first", {"messages": [{"role": "user", "content": "?" * (9 << 20)}]}, 413,
         "request_too_large"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_openai_s_form(client, name, how, status, code):
    error = refused(client, name, **how)
    assert (error.status_code, error.code) == (status, code)
    assert error.body["message"]


def test_a_template_without_tools_refuses_them(client):
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
    error = refused(client, "first", tools=[tool])
    assert (error.status_code, error.param) == (400, "tools")
    assert "The chat template of base shows" in error.message  # and not where it lies
    assert text(client, "first", tools=[tool], tool_choice="none")


def test_ids_that_the_model_does_not_have_are_refused(client):
    with pytest.raises(openai.BadRequestError, match="the token id 9999"):
        client.completions.create(model="first", prompt=[9999])


def test_a_client_that_goes_away_frees_its_rows_and_who_finds_no_room_is_told_when(client, server):
    stream = said(client, "second", n=MOST, max_tokens=400, stream=True)
    next(stream)
    assert server.rows == MOST
    error = refused(client, "first")
    assert (error.status_code, error.code) == (429, "rate_limit_exceeded")
    assert int(error.response.headers["Retry-After"]) >= 1
    stream.close()
    until(lambda: server.rows == 0)
    assert text(client, "first")
    with pytest.raises(openai.APITimeoutError):
        said(client.with_options(timeout=0.2), "first", max_tokens=400, n=ROWS)
    until(lambda: server.rows == 0)


@pytest.mark.slow
def test_a_hundred_streams_of_many_models_say_what_each_says_alone(typist):
    def streamed(client: openai.OpenAI, number: int) -> str:
        name = NAMES[number % len(NAMES)]
        pieces = said(client, name, temperature=1, seed=number, max_tokens=24, stream=True)
        return "".join(piece.choices[0].delta.content or "" for piece in pieces)

    with (
        bakery.serve(typist.root) as server,
        openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
        ThreadPoolExecutor(100) as pool,
    ):
        together = list(pool.map(lambda number: streamed(client, number), range(100)))
        alone = [streamed(client, number) for number in range(100)]
    assert together == alone
    assert len(set(together)) > 90


def address(server: Running) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").partition("/")[0].partition(":")
    return host, int(port)


def answered(server: Running, request: str) -> str:
    """Return the first line of what a server says to raw text."""
    with socket.create_connection(address(server), timeout=30) as made:
        made.sendall(request.replace("\n", "\r\n").encode())
        return made.makefile("r", encoding="latin-1").readline().strip()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /health HTTP/1.1\nHost: localhost\n\n", 200),
        ("GET /health HTTP/1.1\nHost: evil.example\n\n", 403),
        ("GET /v1/models HTTP/1.1\nHost: localhost\nOrigin: https://evil.example\n\n", 403),
        ("GET /v1/../../etc/passwd HTTP/1.1\nHost: localhost\n\n", 404),
        ("GET /v1/models/..%2f..%2fetc%2fpasswd HTTP/1.1\nHost: localhost\n\n", 404),
        ("DELETE /v1/models HTTP/1.1\nHost: localhost\n\n", 405),
        ("POST /v1/completions HTTP/1.1\nHost: localhost\nContent-Type: text/plain\n"
         "Content-Length: 2\n\n{}", 415),
        ("POST /v1/completions HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
         "Content-Length: 9999999999\n\n", 413),
        ("nonsense\n\n", 400),
    ],
)  # fmt: skip
def test_a_request_that_may_not_be_made_is_refused(server, request_text, status):
    assert answered(server, request_text).split()[1] == str(status)


def test_connections_that_ask_nothing_keep_nobody_out_and_are_closed(server, client, monkeypatch):
    monkeypatch.setattr(guard, "HEAD_S", 0.5)
    with ExitStack() as opened:
        made = [
            opened.enter_context(socket.create_connection(address(server), timeout=30))
            for _ in range(100)
        ]
        for one in made[::2]:
            one.sendall(b"GET /v1/mod")
        assert text(client, "first")
        assert [one.recv(1) for one in made] == [b""] * 100


def test_names_change_with_the_repository_and_a_reverted_bake_says_why(client, typist, server):
    assert refused(client, "v1").status_code == 404
    typist.git("tag", "v1")
    assert said(client, "v1", max_tokens=1).model == typist.parent()
    current = typist.parent()
    typist.git("tag", "-d", "v1")
    typist.must("revert", "second")
    error = refused(client, "second")
    assert (error.status_code, error.code) == (404, "model_not_found")
    assert "was taken back, by commit" in error.message
    assert str(typist.root) not in error.message
    assert said(client, "parent", max_tokens=1).model == typist.parent() != current
    typist.must("revert", "HEAD")
    assert said(client, "second", max_tokens=1).model == current


def test_only_who_has_the_token_may_ask(typist, tmp_path):
    (tmp_path / "token").write_text("a-token-of-some-length\n")
    with bakery.serve(typist.root, token_file=tmp_path / "token") as server:
        with openai.OpenAI(base_url=server.url, api_key="a-token-of-some-length") as client:
            assert client.models.list().data
        with (
            openai.OpenAI(base_url=server.url, api_key="a-token-of-some-lengt") as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()


def test_told_to_end_it_goes_on_with_what_it_has_begun(typist: Typist, tmp_path: Path):
    log, asked = tmp_path / "log", [{"role": "user", "content": "secret"}]
    with (
        log.open("w") as out,
        typist.started("serve", "--port", "0", "--json", out=out) as process,
    ):
        until(lambda: "}" in log.read_text())
        url = json.loads(log.read_text())["url"]
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            stream = said(client, "second", max_tokens=200, messages=asked, stream=True, n=4)
            next(stream)
            held = list((typist.store / "held").glob(f"{process.pid}-*"))
            process.send_signal(signal.SIGTERM)
            until(lambda: _is_ending(client))
            assert sum(bool(chunk.choices[0].finish_reason) for chunk in stream) == 4
        assert process.wait(timeout=60) == 0
        told = process.stderr.read()
        assert "ending: 4 answers are under way" in told
        assert "secret" not in log.read_text() + told
    assert len(held) == 2
    assert not any(path.exists() for path in held)


def test_told_twice_it_ends_at_once_and_in_order(typist: Typist, tmp_path: Path):
    log = tmp_path / "log"
    with (
        log.open("w") as out,
        typist.started("serve", "--port", "0", "--json", out=out) as process,
    ):
        until(lambda: "}" in log.read_text())
        with openai.OpenAI(
            base_url=json.loads(log.read_text())["url"], api_key="none", max_retries=0
        ) as client, ThreadPoolExecutor(1) as pool:  # fmt: skip
            gone = pool.submit(said, client, "second", max_tokens=200, n=32)
            until(lambda: any((typist.store / "held").glob(f"{process.pid}-*")))
            process.send_signal(signal.SIGTERM)
            until(lambda: _is_ending(client))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            with pytest.raises(openai.APIError):
                gone.result()


def _is_ending(client: openai.OpenAI) -> bool:
    try:
        said(client, "first", max_tokens=1)
    except openai.InternalServerError as error:
        return error.status_code == 503
    return False
