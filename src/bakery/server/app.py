"""The routes: what is asked, handed to the decoding thread, and what comes of it, handed back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from bakery.app.serve import Catalogue, Listed
from bakery.reporting import Reporter
from bakery.server import answers, forms, guard
from bakery.server.answers import Answer, ChatAnswer, Choice, TextAnswer
from bakery.server.asking import Asking
from bakery.server.errors import RequestError
from bakery.server.text import Words
from bakery.server.thread import Decoding, Failed

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel

GONE = 499
"""The status that nobody reads: the client has hung up."""


@dataclass(frozen=True, slots=True)
class More:
    """What is answered beside the API: its routes, and how its errors are told."""

    routes: Sequence[BaseRoute] = ()
    handlers: Mapping[Any, ExceptionHandler] = field(default_factory=dict)
    """By the kind of the error."""


class _ClientGoneError(Exception):
    """Whoever asked has hung up."""


@dataclass(slots=True)
class House:
    """What all requests share. `is_draining`: nothing new is begun."""

    catalogue: Catalogue
    words: Words
    decoding: Decoding
    reporter: Reporter
    is_draining: bool = False

    async def models(self, request: Request) -> Response:
        """GET /v1/models: every name that a model of this repository has now."""
        found = await run_in_threadpool(self.catalogue.listed)
        return JSONResponse({"object": "list", "data": [_model(one, one.name) for one in found]})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/NAME: the model that a name means now."""
        name = request.path_params["name"]
        served = await run_in_threadpool(self.asking.served, name)
        whole = served.name.partition("@")[0].partition(":")[0]
        found = await run_in_threadpool(self.catalogue.listed)
        of = next((one for one in found if one.name in (served.name, whole)), None)
        known = of or Listed(served.name, served.name, None, "", "")
        return JSONResponse(_model(known, name) | {"root": served.name})

    async def health(self, request: Request) -> Response:
        """GET /health: whether requests are answered."""
        well = self.decoding.is_alive() and not self.is_draining
        said = "ok" if well else "draining" if self.is_draining else "stopped"
        return JSONResponse({"status": said}, 200 if well else 503)

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        form = forms.read(await self._body(request), forms.ChatForm)
        asked = await run_in_threadpool(self.asking.chat, form)
        return await self._answered(request, ChatAnswer(asked, self.words))

    async def text(self, request: Request) -> Response:
        """POST /v1/completions."""
        form = forms.read(await self._body(request), forms.TextForm)
        asked = await run_in_threadpool(self.asking.text, form)
        return await self._answered(request, TextAnswer(asked, self.words))

    @property
    def asking(self) -> Asking:
        """What understands requests."""
        return Asking(self.catalogue, self.words, most=self.decoding.most)

    async def _body(self, request: Request) -> bytes:
        if self.is_draining:
            raise RequestError(503, "This server is ending: it begins nothing new.", retry_s=5)
        return await guard.body(request)

    async def _answered(self, request: Request, answer: Answer) -> Response:
        steps = self._said(request, answer)
        try:
            if not answer.asked.is_streamed:
                async with aclosing(steps):
                    async for _ in steps:
                        pass
                return JSONResponse(answer.whole())
            first = await anext(steps)  # what is refused is refused with its status
        except _ClientGoneError:
            return Response(status_code=GONE)
        return _Stream(self._events(answer, first, steps))

    async def _events(
        self,
        answer: Answer,
        first: tuple[Choice, str],
        steps: AsyncGenerator[tuple[Choice, str], None],
    ) -> AsyncGenerator[bytes, None]:
        try:
            for data in (*answer.begin(), *answer.piece(*first)):
                yield answers.event(data)
            async for step in steps:
                for data in answer.piece(*step):
                    yield answers.event(data)
        except _ClientGoneError:
            return
        except RequestError as error:  # the status is sent already
            yield answers.event(error.as_data())
            return
        finally:
            await steps.aclose()
        for data in answer.end():
            yield answers.event(data)
        yield answers.DONE

    async def _said(
        self, request: Request, answer: Answer
    ) -> AsyncGenerator[tuple[Choice, str], None]:
        """Yield each choice that has grown with its new text, until all are over.

        Whoever stops reading, or hangs up, lets its rows go.
        """
        choices = {row.key: c for row, c in zip(answer.asked.rows, answer.choices, strict=True)}
        events = self.decoding.submit(answer.asked.rows)
        watch = asyncio.create_task(_hung_up(request, lambda: events.put_nowait(None)))
        try:
            while choices:
                event = await events.get()
                if event is None:
                    raise _ClientGoneError
                if isinstance(event, Failed):
                    raise _failure(event)
                if (choice := choices.get(event.key)) is None:
                    continue  # it was said to be over a step ago
                text = choice.take(event)
                if choice.finish is not None:
                    del choices[event.key]
                    self.decoding.leave([event.key])
                yield choice, text
        finally:
            watch.cancel()
            self.decoding.leave(choices)


class _Stream(Response):
    """Events as they come. Who hangs up is noticed where they are made."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events
        self.status_code, self.background = 200, None
        # A proxy must not keep pieces back until there is a page of them.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._events) as events:
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Whole:
    """Answers where something is broken, and tells only the kind of error: words may be a prompt's.

    Nor is it raised on, as whoever runs the application would write it down with its words.
    """

    def __init__(self, app: ASGIApp, *, reporter: Reporter) -> None:
        self._app, self._reporter = app, reporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def sent(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            self._reporter.note(f"{scope.get('path')} failed: {type(error).__name__}")
            if not has_begun:
                await _mistake().answer()(scope, receive, send)


def made(
    catalogue: Catalogue,
    base: BaseModel,
    decoding: Decoding,
    *,
    tokens: Sequence[str] = (),
    more: More | None = None,
    reporter: Reporter,
) -> tuple[Starlette, House]:
    """Return the application, and what it goes by."""
    more = more or More()
    house = House(catalogue, Words(base), decoding, reporter)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        decoding.start()
        try:
            yield
        finally:
            decoding.stop()

    app = Starlette(
        routes=[
            Route("/health", house.health),
            Route("/v1/models", house.models),
            Route("/v1/models/{name:path}", house.model),
            Route("/v1/chat/completions", house.chat, methods=["POST"]),
            Route("/v1/completions", house.text, methods=["POST"]),
            *more.routes,
        ],
        middleware=[
            Middleware(_Whole, reporter=reporter),
            Middleware(guard.Guard, tokens=tokens),
        ],
        exception_handlers={RequestError: _refused, HTTPException: no_route, **more.handlers},
        lifespan=lifespan,
    )
    return app, house


async def _hung_up(request: Request, tell: Callable[[], None]) -> None:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            tell()
            return


def _failure(event: Failed) -> RequestError:
    if event.is_refused:
        hint = getattr(event.error, "hint", None)
        return RequestError(400, f"{event.error}. {hint}" if hint else str(event.error))
    return _mistake()


def _mistake() -> RequestError:
    return RequestError(500, "This server has made a mistake.")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error.answer()


async def no_route(request: Request, error: Exception) -> Response:
    """Answer where nothing is, or where something else may be asked."""
    assert isinstance(error, HTTPException)
    told = {404: f"There is nothing at {request.method} {request.url.path}.",
            405: f"{request.url.path} does not take {request.method}."}  # fmt: skip
    return RequestError(error.status_code, told.get(error.status_code, error.detail)).answer()


def _model(one: Listed, name: str) -> dict[str, Any]:
    """Return a model as OpenAI lists it, and as vLLM does: what it is a name of, and its parent."""
    created = int(datetime.fromisoformat(one.created).timestamp()) if one.created else 0
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": one.owner,
        "root": one.model,
        "parent": one.parent,
    }
