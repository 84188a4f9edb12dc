"""Servers that send without end, or say back what they were sent."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from bakery.backends import arriving
from bakery.backends.base import Wish
from bakery.backends.endpoint import SHOWN, Endpoint, endpoint_for
from bakery.backends.hosted import HostedWriter
from bakery.errors import StageError
from bakery.masking import MASK
from tests.support.endpoint import serve

ARGUMENTS = {"messages": [{"role": "user", "content": "?"}]}
PASSWORD = 'pa"ss/word-1'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


@contextmanager
def sending(parts: Iterable[bytes], pause_s: float = 0.0) -> Iterator[str]:
    """Accept connections, and send the same to each, whatever it asks; yield the address."""
    given, ended = list(parts), Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve_one(connection: socket.socket) -> None:
            with connection:
                connection.recv(1 << 16)
                try:
                    for part in given:
                        connection.sendall(part)
                        if ended.wait(pause_s):
                            return
                except OSError:  # the client has seen enough
                    pass

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                Thread(target=serve_one, args=(connection,), daemon=True).start()

        Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)


def client(url: str, **environment: str) -> Endpoint:
    found = endpoint_for("m", {"OPENAI_BASE_URL": url, **environment})
    assert isinstance(found, Endpoint)
    return found


def test_a_reply_without_end_is_cut(monkeypatch) -> None:
    monkeypatch.setattr(arriving, "REPLY_BYTES", 1 << 20)
    head = OK + b'\r\n{"choices": [{"message": {"content": "'
    with (
        sending([head, *[b"a" * (1 << 16)] * 64]) as url,
        pytest.raises(StageError, match="larger than 1 MiB"),
    ):
        client(url).complete(**ARGUMENTS)


def test_a_small_reply_that_unpacks_to_gigabytes_is_cut(monkeypatch) -> None:
    monkeypatch.setattr(arriving, "REPLY_BYTES", 1 << 20)
    body = gzip.compress(b" " * (32 << 20))
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with sending([head + body]) as url, pytest.raises(StageError, match="larger than 1 MiB"):
        client(url).complete(**ARGUMENTS)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_a_packed_answer_is_read(encoding: str) -> None:
    import zlib

    answer = {"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}]}
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[encoding]
    body = pack(json.dumps(answer).encode())
    head = OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with sending([head + body]) as url:
        assert client(url).complete(**ARGUMENTS).text == "hi"


def test_an_encoding_that_nobody_asked_for_is_refused() -> None:
    with (
        sending([OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\nab"]) as url,
        pytest.raises(StageError, match=r"not asked for \(br\)"),
    ):
        client(url).complete(**ARGUMENTS)


def test_a_reply_that_drips_has_a_deadline() -> None:
    with (
        sending([OK + b"\r\n", *[b" "] * 400], pause_s=0.05) as url,
        pytest.raises(StageError, match="not whole after 1 s"),
    ):
        client(url, BGIT_TIMEOUT="1").complete(**ARGUMENTS)


HEADS = {
    "a byte now and then": [b"HTTP/1.1 200 OK\r\n", *[b"a"] * 400],
    "goes on": [b"HTTP/1.1 100 Continue\r\n\r\n"] * 400,
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_without_end_has_a_deadline(head: str) -> None:
    with sending(HEADS[head], pause_s=0.05) as url:
        asked = client(url, BGIT_TIMEOUT="1").complete_all({"1": ARGUMENTS}, 1)
        with pytest.raises(StageError, match="its head had no end"):
            next(asked)


def test_a_list_of_questions_is_cut_where_no_list_is_that_long() -> None:
    with serve(["a" * (1 << 20)]) as endpoint:
        [reply] = HostedWriter(client(endpoint.url)).write(Wish("?", "k", 1, 1.0, 100))
    assert len(reply.text) == 100 * 64
    assert not reply.finished


def test_what_a_server_says_of_an_error_is_cut() -> None:
    with (
        serve(["hi"], status=401, message="no " * 100_000) as endpoint,
        pytest.raises(StageError) as refused,
    ):
        client(endpoint.url).complete(**ARGUMENTS)
    assert len(refused.value.message) < SHOWN + 100


ECHOES = {
    "plain": PASSWORD,
    "base64": base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    "percent": "pa%22ss%2Fword-1",
    "html": "pa&quot;ss/word-1",
    "reversed": PASSWORD[::-1],
}


@pytest.mark.parametrize("encoding", ECHOES)
def test_a_password_that_comes_back_is_told_nowhere(encoding: str) -> None:
    echo = ECHOES[encoding]
    with serve([f"you are {echo}!"]) as endpoint:
        url = endpoint.url.replace("//", "//user:pa%22ss%2Fword-1@")
        asked = client(url)
        said = asked.complete(**ARGUMENTS)
        endpoint.status, endpoint.message = 400, f"hello {echo}"
        with pytest.raises(StageError) as refused:
            asked.complete(**ARGUMENTS)
    assert MASK in said.text
    assert echo not in said.text
    assert asked.masked == 1
    told = "".join(traceback.format_exception(refused.value))
    assert MASK in told
    assert echo not in told


def test_a_password_in_a_call_of_a_tool_is_masked() -> None:
    call = {"id": "1", "type": "function",
            "function": {"name": "tell", "arguments": json.dumps({"it": PASSWORD})}}  # fmt: skip
    with serve([""], calls=[call]) as endpoint:
        url = endpoint.url.replace("//", "//user:pa%22ss%2Fword-1@")
        said = client(url).complete(**ARGUMENTS)
    assert json.loads(said.tool_calls[0]["function"]["arguments"]) == {"it": MASK}
