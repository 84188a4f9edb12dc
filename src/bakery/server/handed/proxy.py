"""Requests of our names to an engine of others: who asks is checked, the model's name is ours.

The answer is passed on as it comes. What it says its model is called is put back into our words.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bakery import json_file
from bakery.app.serve import Catalogue, Served
from bakery.errors import BakeryError, ConfigError
from bakery.json_file import DamagedError
from bakery.records import Prompt
from bakery.reporting import Reporter
from bakery.server import guard, names, shell
from bakery.server.errors import RequestError, told
from bakery.server.handed.engine import Engine
from bakery.server.handed.process import Process

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from httpx2 import Response as Answer

MOST = 1024
"""Requests at a time where nobody says how many; an engine has a queue without end."""
RETRY_S = 5

_STREAM = "text/event-stream"

Data = dict[str, Any]


@dataclass(slots=True)
class House:
    """What all requests share. `is_draining`: nothing new is begun."""

    catalogue: Catalogue
    engine: Engine
    process: Process
    reporter: Reporter
    most: int = MOST
    is_draining: bool = False
    rows: int = field(default=0, init=False)
    """How many requests are under way."""

    @property
    def is_over(self) -> bool:
        """Whether nothing can be answered any more."""
        return self.process.is_over

    async def health(self, request: Request) -> Response:
        """GET /health: whether requests are answered."""
        said = "stopped" if self.is_over else "draining" if self.is_draining else "ok"
        return JSONResponse({"status": said}, 200 if said == "ok" else 503)

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions: a prompt that was baked in goes before what is said."""
        body, served = await self._asked(request)
        prompt, said = served.prompt, body.get("messages")
        if prompt != Prompt():
            if not isinstance(said, list):
                raise RequestError(400, "`messages` is a list.", param="messages")
            body["messages"] = [*prompt.messages, *said]
            if prompt.tools:
                body["tools"] = [*prompt.tools, *(body.get("tools") or ())]
        return _Passed(self, request, served, body)

    async def text(self, request: Request) -> Response:
        """POST /v1/completions."""
        body, served = await self._asked(request)
        if served.prompt != Prompt():
            raise names.prompted_text(served)
        return _Passed(self, request, served, body)

    async def _asked(self, request: Request) -> tuple[Data, Served]:
        if self.is_draining:
            raise RequestError(503, shell.ENDING, retry_s=RETRY_S)
        if self.rows >= self.most:
            raise RequestError(
                429, f"{self.rows} requests are under way, and this server takes {self.most}: "
                f"try again in {RETRY_S} s.", code="rate_limit_exceeded", retry_s=RETRY_S,
            )  # fmt: skip
        try:
            body = json_file.parse(await guard.body(request))
        except DamagedError:
            why = "We could not parse the JSON body of your request."
            raise RequestError(400, why, code="invalid_json") from None
        name = body.get("model") if isinstance(body, dict) else None
        if not isinstance(name, str):
            why = "Missing required parameter: 'model'."
            raise RequestError(400, why, code="missing_required_parameter", param="model")
        return body, await run_in_threadpool(names.served, self.catalogue, name)


class _Passed(Response):
    """What an engine answers, as it comes. Who hangs up ends it there, too."""

    def __init__(self, house: House, request: Request, served: Served, body: Data) -> None:
        self._house, self._request, self._served, self._body = house, request, served, body
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        passing = asyncio.create_task(self._pass(send))
        watch = asyncio.create_task(shell.hung_up(self._request, passing.cancel))
        self._house.rows += 1
        try:
            await passing
        except asyncio.CancelledError:
            if not watch.done():
                raise
        finally:
            self._house.rows -= 1
            watch.cancel()

    async def _pass(self, send: Send) -> None:
        import httpx2

        client: AsyncClient = self._request.app.state.client
        title = self._house.engine.title
        try:
            async with self._house.engine.holding(client, self._served) as changes:
                asked = {**self._body, **changes}
                path = self._request.scope["path"]  # of the URL its Host would have a say
                async with client.stream("POST", path, json=asked) as answer:
                    if answer.status_code != 200:
                        raise self._refusal(answer, await answer.aread(), asked["model"])
                    if answer.headers.get("content-type", "").lower().startswith(_STREAM):
                        await self._stream(answer, send)
                    else:
                        whole = Response(
                            self._renamed(await answer.aread()), media_type="application/json"
                        )
                        await whole(self._request.scope, self._request.receive, send)
        except DamagedError as error:
            self._house.reporter.note(f"{title} answered what cannot be read: {error}")
            raise RequestError(502, f"{title} answered what cannot be read.") from None
        except httpx2.TransportError:
            raise RequestError(502, f"{title} does not answer.", retry_s=RETRY_S) from None
        except ConfigError as error:
            raise RequestError(400, told(error), param="model") from None
        except BakeryError as error:  # its words may hold a path
            self._house.reporter.note(f"{self._served.name}: {error.message}")
            raise RequestError(500, f"{self._served.name} cannot be given to {title}.") from None

    async def _stream(self, answer: Answer, send: Send) -> None:
        import httpx2

        headers = [(b"content-type", _STREAM.encode()), (b"cache-control", b"no-store"),
                   (b"x-accel-buffering", b"no")]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        left = b""
        try:
            async for piece in answer.aiter_bytes():
                # By the one sign that ends a line here: a text may hold others of Unicode's.
                *lines, left = (left + piece).split(b"\n")
                if lines:
                    told = b"".join(self._line(line) + b"\n" for line in lines)
                    await send({"type": "http.response.body", "body": told, "more_body": True})
        except httpx2.TransportError:  # the status is sent already
            lost = RequestError(502, f"{self._house.engine.title} does not answer any more.")
            left = b"data: " + json.dumps(lost.as_data()).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": left})

    def _line(self, line: bytes) -> bytes:
        """Return a line of a stream with our name of the model."""
        kind, colon, said = line.partition(b":")
        if kind != b"data":
            return line
        try:
            return kind + colon + b" " + self._renamed(said)
        except DamagedError:  # the end of the stream, for one
            return line

    def _renamed(self, said: bytes) -> bytes:
        """Return an answer, or a part of one, with our name of the model."""
        data = json_file.as_object(json_file.parse(said, strict=False))
        named = {**data, "model": self._served.name} if "model" in data else data
        return json.dumps(named, ensure_ascii=False).encode()

    def _refusal(self, answer: Answer, body: bytes, called: str) -> RequestError:
        """Return an engine's error in OpenAI's form; of its own mistakes only that there are."""
        status, title = answer.status_code, self._house.engine.title
        if not 400 <= status < 500 or status in (401, 403):
            self._house.reporter.note(f"{title} answered with status {status}")
            return RequestError(502, f"{title} could not answer this.")
        try:
            data = json_file.as_object(json_file.parse(body, strict=False))
        except DamagedError:
            data = {}
        said = data.get("error")
        error: Data = said if isinstance(said, dict) else data
        message, code, param = (error.get(key) for key in ("message", "code", "param"))
        after = answer.headers.get("retry-after", "")
        return RequestError(
            status,
            str(message or f"{title} refused this.").replace(called, self._served.name),
            code=code if isinstance(code, str) else None,
            param=param if isinstance(param, str) else None,
            retry_s=int(after) if re.fullmatch("[0-9]{1,9}", after) else None,
        )


def made(house: House, *, tokens: Sequence[str]) -> Starlette:
    """Return the application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        import httpx2

        async with httpx2.AsyncClient(
            base_url=house.engine.url,
            headers={"Authorization": f"Bearer {house.engine.start.key}",
                     "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(None, connect=30),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=False,  # no proxy stands between two processes of one machine
        ) as app.state.client:  # fmt: skip
            yield

    routes = [
        Route("/health", house.health),
        *names.routes(house.catalogue),
        Route("/v1/chat/completions", house.chat, methods=["POST"]),
        Route("/v1/completions", house.text, methods=["POST"]),
    ]
    return shell.guarded(routes, lifespan, tokens=tokens, reporter=house.reporter)
