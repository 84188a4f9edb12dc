"""Who may ask, and how much: token, Host, Origin, the size of a body and the time it may take."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bakery import masking
from bakery.errors import ConfigError
from bakery.server.errors import RequestError

MOST_BYTES = 8 << 20
BODY_S = 60.0
HEAD_S = 10.0
"""How long a request's head may take to arrive."""

_FOREIGN = ("cross-site", "same-site")
"""What a browser says of a request that another origin made; other ports are `same-site`."""

LEAST_TOKEN = 16
MOST_TOKENS = 1 << 20
"""Characters of a file of tokens that are read."""

OPEN = "/health"
"""The path that is answered without a token: it says nothing but whether there is a server."""


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is this machine's own, which no other can reach."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file, one a line; ConfigError for one that could be guessed."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = file.read(MOST_TOKENS).split()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--token-file {path} cannot be read: {error}",
            hint=f"`openssl rand -hex 32 > {path}` makes one.",
        ) from error
    if not lines or any(len(line) < LEAST_TOKEN for line in lines):
        raise ConfigError(
            f"--token-file {path} holds {'a token that is too short' if lines else 'no token'}",
            hint=f"One a line, of at least {LEAST_TOKEN} characters: `openssl rand -hex 32` "
            "prints a good one.",
        )
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ConfigError(
            f"--token-file {path} holds a token that no client can send",
            hint="It takes letters, digits and signs of ASCII, as `openssl rand -hex 32` prints.",
        )
    masking.keep(*lines)
    return tuple(lines)


class Guard:
    """Lets through only what may be asked.

    Without a token only this machine can ask, and a browser's page only where it came from here:
    a foreign page can neither name us by another host nor send a request of its own.
    """

    def __init__(self, app: ASGIApp, *, tokens: Sequence[str] = ()) -> None:
        self._app = app
        self._tokens = [_digest(token) for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why it may not be asked."""
        if scope["type"] == "http":
            try:
                self._check(scope["path"], Headers(scope=scope))
            except RequestError as error:
                await error.answer()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = _host(hosts[0]) if len(hosts) == 1 else ""
        if not host or (not self._tokens and not is_loopback(host)):
            raise RequestError(
                403, "This server answers on this machine alone: its Host is 127.0.0.1 or "
                "localhost. Behind a proxy it needs a token.", code="host_not_allowed",
            )  # fmt: skip
        if any(_netloc(origin) != hosts[0].lower() for origin in origins):
            raise RequestError(
                403, "A page of another origin may not ask this server.", code="origin_not_allowed"
            )
        if _is_embedded(headers):
            raise RequestError(
                403, "A page of another origin may lead to this server, and have nothing of it "
                "within itself.", code="origin_not_allowed",
            )  # fmt: skip
        if self._tokens and path != OPEN and not self._knows(headers.get("authorization", "")):
            raise RequestError(
                401, "This server needs its token as the API key: Authorization: Bearer …",
                code="invalid_api_key",
            )  # fmt: skip
        size = headers.get("content-length", "")
        if size.isdigit() and int(size) > MOST_BYTES:
            raise _too_large()

    def _knows(self, authorization: str) -> bool:
        """Tell whether a header has a token; how long that takes says nothing of it."""
        kind, _, given = authorization.partition(" ")
        found = _digest(given.strip())
        same = [hmac.compare_digest(found, token) for token in self._tokens]
        return kind.lower() == "bearer" and any(same)


def check_own(request: Request) -> None:
    """Refuse what changes something unless a page of this server sent it.

    An Origin of another page is refused before: what is missing here is a proof that it is ours.
    """
    site, origin = (request.headers.get(name) for name in ("sec-fetch-site", "origin"))
    if site not in (None, "same-origin") or (site is None and origin is None):
        raise RequestError(
            403, "Only a page of this server may do this: send its Origin.",
            code="origin_not_allowed",
        )  # fmt: skip


async def body(request: Request) -> bytes:
    """Return a request's body; RequestError where it is no JSON, too large, or too slow."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind.strip().lower() != "application/json":
        # A page of another origin can send any other kind without asking.
        raise RequestError(415, "Send the body as Content-Type: application/json.")
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                found += chunk
                if len(found) > MOST_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise RequestError(408, "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise RequestError(400, "The body did not arrive.") from None
    return bytes(found)


class Patient(H11Protocol):
    """A connection that is closed where the head of a request does not come in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; between two requests it is part of a head."""
        super().data_received(data)
        if self._is_asked:
            self._stop()
        elif self._late is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    @property
    def _is_asked(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_S, self._give_up)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self._is_asked and not self.transport.is_closing():
            self.transport.close()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _host(value: str) -> str:
    """Return the host of a Host header, without its port; empty where it is none.

    One with a path in it would have others take that for what is asked.
    """
    try:
        found = urlsplit(f"//{value}")
        is_whole = found.netloc == value and "@" not in value and found.port != 0
    except ValueError:
        return ""
    return found.hostname or "" if is_whole else ""


def _is_embedded(headers: Headers) -> bool:
    """Tell whether a browser asks for what a foreign page has within itself, as an image.

    It sends no Origin along, and the page learns from it only whether there is such a thing.
    """
    is_foreign = any(site in _FOREIGN for site in headers.getlist("sec-fetch-site"))
    asked = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return is_foreign and asked != ("navigate", "document")


def _netloc(origin: str) -> str:
    """Return the host and the port of an Origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _too_large() -> RequestError:
    return RequestError(413, f"A body may have {MOST_BYTES >> 20} MiB.", code="request_too_large")
