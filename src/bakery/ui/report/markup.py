"""HTML from parts: whatever is not markup already is text, and text is escaped.

Prompts and answers are what strangers and models wrote. Nothing else writes `<` into the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from bakery.harmless import harmless


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return it as templates take it: as it is."""
        return self


Child = str | Iterable["Child"] | None
"""What stands in an element; None: nothing."""

_VOID = frozenset(("meta", "br", "hr"))
_LINES = frozenset(("head", "body", "header", "nav", "section", "article", "footer", "table", "tr",
                    "ul", "ol", "li", "div", "details", "style", "title", "meta", "p"))  # fmt: skip
"""Elements after which a line ends, so that the file can be read and compared."""


def element(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """Return an element; `class_` is class, `a_b` is a-b, None leaves an attribute out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "\n" if name in _LINES else ""
    if name in _VOID:
        return Markup(f"<{name}{said}>{end}")
    return Markup(f"<{name}{said}>{joined(children)}</{name}>{end}")


def joined(children: Child) -> Markup:
    """Return what stands in an element, one after the other."""
    if children is None:
        return Markup("")
    if isinstance(children, str):
        return text(children)
    return Markup("".join(map(joined, children)))


def text(value: str) -> Markup:
    """Return a text as HTML that shows it; markup stays as it is."""
    if isinstance(value, Markup):
        return value
    # Half of a pair of surrogates is no character of any file.
    whole = value.encode("utf-8", "replace").decode("utf-8")
    return Markup(escape(harmless(whole)))


def cut(value: Any, most: int) -> str:
    """Return a text, or its first `most` characters and how many more there are."""
    said = value if isinstance(value, str) else str(value)
    if len(said) <= most:
        return said
    return f"{said[:most]}… ({len(said) - most:,} more characters)"


def said(value: Any, *, most: int, kind: str = "pre", class_: str = "said") -> Markup:
    """Return what somebody said, as it was written; in the direction of its own script."""
    return element(kind, cut(value, most), class_=class_, dir="auto")
