"""Who may ask a server: Hosts, Origins, tokens, addresses."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest
from starlette.responses import PlainTextResponse

from bakery.app.serve import Catalogue
from bakery.errors import ConfigError
from bakery.reporting import Quiet
from bakery.server import guard, running


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


@pytest.mark.parametrize(
    ("host", "local", "is_open"),
    [("0.0.0.0", "127.0.0.1", True), ("127.0.0.1", "127.0.0.1", False)],
)
def test_the_address_that_is_told_can_be_asked(repo, host, local, is_open):
    with running.listening(host, 0) as sock, closing(Catalogue(repo)) as catalogue:
        port = sock.getsockname()[1]
        told = running.serving(sock, catalogue, (), None)
    assert told.url == f"http://{local}:{port}/v1"
    assert told.elsewhere == (f"http://{socket.gethostname()}:{port}/v1" if is_open else None)
