"""What every application of ours is behind: who may ask, and how a mistake is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, ExceptionHandler, Lifespan, Message, Receive, Scope, Send

from bakery.reporting import Reporter
from bakery.server import guard
from bakery.server.errors import RequestError

GONE = 499
"""The status that nobody reads: the client has hung up."""

ENDING = "This server is ending: it begins nothing new."


def guarded(
    routes: Sequence[BaseRoute],
    lifespan: Lifespan[Starlette],
    *,
    tokens: Sequence[str],
    handlers: Mapping[Any, ExceptionHandler] = MappingProxyType({}),
    reporter: Reporter,
) -> Starlette:
    """Return an application of routes that answers only who may ask, in OpenAI's form.

    `handlers` tell errors of other kinds, or tell them otherwise.
    """
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(_Whole, reporter=reporter),
            Middleware(guard.Guard, tokens=tokens),
        ],
        exception_handlers={RequestError: _refused, HTTPException: no_route, **handlers},
        lifespan=lifespan,
    )


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
                await mistake().answer()(scope, receive, send)


async def hung_up(request: Request, tell: Callable[[], object]) -> None:
    """Tell when whoever asked hangs up."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            tell()
            return


def mistake() -> RequestError:
    """Return what is told where something is broken."""
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
