"""The routes: what is asked, handed to the decoding thread, and what comes of it, handed back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ExceptionHandler, Receive, Scope, Send

from bakery.app.serve import Catalogue
from bakery.errors import BakeryError
from bakery.reporting import Reporter
from bakery.server import answers, forms, guard, names, shell
from bakery.server.answers import Answer, ChatAnswer, Choice, TextAnswer
from bakery.server.asking import Asked, Asking
from bakery.server.errors import RequestError, told
from bakery.server.text import Words
from bakery.server.thread import Decoding, Failed

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel

MOST_COMPILING = 16
"""New grammars that may wait to be compiled."""


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
    compiling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    to_compile: int = 0
    """How many new grammars are compiled, or wait for it."""

    @property
    def rows(self) -> int:
        """How many answers are under way, or wait."""
        return self.decoding.rows

    @property
    def is_over(self) -> bool:
        """Whether it can answer nothing any more: it is this process that decodes."""
        return False

    async def health(self, request: Request) -> Response:
        """GET /health: whether requests are answered."""
        well = self.decoding.is_alive() and not self.is_draining
        said = "ok" if well else "draining" if self.is_draining else "stopped"
        return JSONResponse({"status": said}, 200 if well else 503)

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        form = forms.read(await self._body(request), forms.ChatForm)
        asked = await self._held(await run_in_threadpool(self.asking.chat, form))
        asked = await self._ready(asked)
        return await self._answered(request, ChatAnswer(asked, self.words))

    async def text(self, request: Request) -> Response:
        """POST /v1/completions."""
        form = forms.read(await self._body(request), forms.TextForm)
        asked = await self._ready(await run_in_threadpool(self.asking.text, form))
        return await self._answered(request, TextAnswer(asked, self.words))

    @property
    def asking(self) -> Asking:
        """What understands requests."""
        return Asking(self.catalogue, self.words, most=self.decoding.most)

    async def _held(self, asked: Asked) -> Asked:
        """Return what is asked with what holds its answers to their form.

        One new grammar is compiled at a time; who asks for none, or a known one, does not wait.
        """
        if asked.grammar is None:
            return asked
        holder, count = self.words.holder, len(asked.rows)
        try:
            if holder.knows(asked.grammar):
                return asked.held(holder.held(asked.grammar, count))
            if self.to_compile >= MOST_COMPILING:
                raise RequestError(
                    429, "Many new forms of answers wait to be read: try again in 5 s.",
                    code="rate_limit_exceeded", retry_s=5,
                )  # fmt: skip
            self.to_compile += 1
            try:
                async with self.compiling:
                    return asked.held(await run_in_threadpool(holder.held, asked.grammar, count))
            finally:
                self.to_compile -= 1
        except BakeryError as error:
            said = told(self.catalogue.without_paths(error))
            raise RequestError(400, said, code="invalid_form") from None

    async def _ready(self, asked: Asked) -> Asked:
        """Return what is asked with its model read, so that nobody else's answer waits for it."""
        self.decoding.check(len(asked.rows))
        try:
            return replace(asked, rows=await run_in_threadpool(self.decoding.ready, asked.rows))
        except BakeryError as error:
            raise RequestError(400, told(self.catalogue.without_paths(error))) from None

    async def _body(self, request: Request) -> bytes:
        if self.is_draining:
            raise RequestError(503, shell.ENDING, retry_s=5)
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
            return Response(status_code=shell.GONE)
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
        watch = asyncio.create_task(shell.hung_up(request, lambda: events.put_nowait(None)))
        try:
            while choices:
                event = await events.get()
                if event is None:
                    raise _ClientGoneError
                if isinstance(event, Failed):
                    raise self._failure(event)
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

    def _failure(self, event: Failed) -> RequestError:
        if event.is_refused:
            assert isinstance(event.error, BakeryError)
            return RequestError(400, told(self.catalogue.without_paths(event.error)))
        return shell.mistake()


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
                await asyncio.sleep(0)  # the loop notices who has hung up: nothing more is written
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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

    routes = [
        Route("/health", house.health),
        *names.routes(catalogue),
        Route("/v1/chat/completions", house.chat, methods=["POST"]),
        Route("/v1/completions", house.text, methods=["POST"]),
        *more.routes,
    ]
    made = shell.guarded(routes, lifespan, tokens=tokens, handlers=more.handlers, reporter=reporter)
    return made, house
