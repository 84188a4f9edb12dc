"""The page of a model as a file: one style, one policy, and what tells whose report it is."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from bakery.app.report import Report
from bakery.ui.report import sections
from bakery.ui.report.markup import Markup, element

GENERATOR = "bgit report"
"""Who wrote the file: that is how it is known again."""


def page(found: Report) -> str:
    """Return the whole file."""
    css = style()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        # Nothing is loaded, nothing runs, and only this style is applied.
        element("meta", http_equiv="Content-Security-Policy", content=policy(css)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        *marks(str(found.described.bake.model)),
        element("title", sections.title(found)),
        element("style", Markup(css)),
    )
    body = element(
        "body",
        sections.body(found),
        element("footer", f"Written by bgit from the record of {found.described.bake.model}."),
    )
    return f'<!doctype html>\n<html lang="en">\n{head}{body}</html>\n'


def style() -> str:
    """Return how the page looks."""
    return resources.files("bakery.ui.report").joinpath("page.css").read_text(encoding="utf-8")


def policy(css: str) -> str:
    """Return the page's policy: the style is allowed by its digest."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def marks(model: str) -> tuple[Markup, Markup]:
    """Return what tells whose report a file is."""
    return (
        element("meta", name="generator", content=GENERATOR),
        element("meta", name="bgit-model", content=model),
    )
