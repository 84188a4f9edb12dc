"""The models of a repository by the names that requests call them by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bakery.app.serve import Catalogue, Listed, Served
from bakery.errors import BakeryError, ConfigError
from bakery.server.errors import RequestError, told


def served(catalogue: Catalogue, name: str) -> Served:
    """Return the model of a name; RequestError says why there is none."""
    try:
        return catalogue.find(name)
    except ConfigError as error:
        raise RequestError(400, told(error), param="model") from None
    except BakeryError as error:
        raise RequestError(404, told(error), code="model_not_found", param="model") from None


def listed(catalogue: Catalogue) -> tuple[Listed, ...]:
    """Return the names of all models; RequestError says why they cannot be told."""
    try:
        return catalogue.listed()
    except BakeryError as error:
        raise RequestError(500, told(error)) from None


def prompted_text(found: Served) -> RequestError:
    """Return why a model behind a prompt continues no text."""
    return RequestError(
        400, f"{found.name} answers behind a prompt, which goes before a conversation: "
        "ask for it at /v1/chat/completions.", param="model",
    )  # fmt: skip


def routes(catalogue: Catalogue) -> list[Route]:
    """Return what answers at /v1/models."""

    async def models(request: Request) -> Response:
        """GET /v1/models: every name that a model of this repository has now."""
        found = await run_in_threadpool(listed, catalogue)
        return JSONResponse({"object": "list", "data": [_model(one, one.name) for one in found]})

    async def model(request: Request) -> Response:
        """GET /v1/models/NAME: the model that a name means now."""
        name = request.path_params["name"]
        meant = await run_in_threadpool(served, catalogue, name)
        whole = meant.name.partition("@")[0].partition(":")[0]
        found = await run_in_threadpool(listed, catalogue)
        of = next((one for one in found if one.name in (meant.name, whole)), None)
        known = of or Listed(meant.name, meant.name, None, "", "")
        return JSONResponse(_model(known, name) | {"root": meant.name})

    return [Route("/v1/models", models), Route("/v1/models/{name:path}", model)]


def _model(one: Listed, name: str) -> dict[str, Any]:
    """Return a model as OpenAI lists it, and as vLLM does: what it is a name of, and its parent."""
    return {
        "id": name,
        "object": "model",
        "created": _seconds(one.created),
        "owned_by": one.owner,
        "root": one.model,
        "parent": one.parent,
    }


def _seconds(moment: str) -> int:
    """Return a moment as OpenAI tells it; 0 where a recipe says none."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except (ValueError, OverflowError):
        return 0
