"""Templates to responses: every text in them is escaped, and nothing comes from elsewhere.

What a template prints goes through `ui.report.markup`, as the report's own texts do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bakery.ui.chart import number
from bakery.ui.report import page as report
from bakery.ui.report.markup import Markup, element, joined, text

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline runs or applies, and nothing is asked of another server."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # With no-referrer a browser sends `Origin: null` along with a form: it could not be told
    # from that of a foreign page. No other origin is told anything either way.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def html(name: str, /, *, code: int = 200, **told: Any) -> Response:
    """Return the page that a template makes. It is not kept: prompts and answers are in it."""
    made = _templates().get_template(name).render(told)
    return HTMLResponse(made, code, {**HEADERS, "Cache-Control": "no-store"})


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("bakery.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {"path": path, "number": number, "told": told}
    return found


def shown(value: Any) -> Any:
    """Return what a template prints: markup as it is, anything else as text that cannot act."""
    if value is None:
        return ""
    return value if hasattr(value, "__html__") else text(str(value))


def path(name: str) -> str:
    """Return a name as a part of an address."""
    return quote(name, safe="")


def told(words: str) -> Markup:
    """Return a sentence in which what stands between backticks is a command."""
    pieces = words.split("`")
    return joined(_commands(pieces) if len(pieces) % 2 else words)


def _commands(pieces: list[str]) -> Iterator[Markup | str]:
    for at, piece in enumerate(pieces):
        yield element("code", piece) if at % 2 else piece


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str

    @property
    def tag(self) -> str:
        """What tells this content from that of another version."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


@cache
def _files() -> Mapping[str, _File]:
    """Return what is served as it is: these files, and no other."""
    static = resources.files("bakery.web").joinpath("static")
    read = {
        name: _File(static.joinpath(name).read_bytes(), f"{kind}; charset=utf-8")
        for name, kind in {
            "ui.css": "text/css",
            "ui.js": "text/javascript",
            "htmx-4.0.1.min.js": "text/javascript",
            "icon.svg": "image/svg+xml",
        }.items()
    }
    return {**read, "report.css": _File(report.style().encode(), "text/css; charset=utf-8")}


def static(request: Request) -> Response:
    """Answer with a file of the page; 404 for any other name."""
    found = _files().get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.", 404, HEADERS, "text/plain")
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(None, 304, headers)
    return Response(found.content, 200, headers, found.kind)
