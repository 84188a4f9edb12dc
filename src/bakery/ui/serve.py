"""What `bgit serve` and `bgit ui` print: where they are, and how to ask."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import TYPE_CHECKING

from bakery.ui.console import note, say, show_json

if TYPE_CHECKING:
    from bakery.app.serve import Serving


def show_serving(found: Serving, *, as_json: bool = False) -> None:
    """Print where a server is, once it may be asked."""
    if as_json:
        show_json(found.as_data())
        return
    bakes = "one bake" if found.bakes == 1 else f"{found.bakes} bakes"
    say(f"{found.url} serves {found.repository}: {found.base} and {bakes} on it")
    key = "$(cat TOKEN-FILE)" if found.has_token else "none"
    say(f"OPENAI_BASE_URL={found.url} OPENAI_API_KEY={key}")
    if found.elsewhere:
        note(f"it listens on every address; other machines ask {found.elsewhere}")
    at_once = f"{found.rows} answers at once; " if found.rows else ""
    by = f"decoded by {found.engine}; " if found.engine else ""
    note(f"{by}{at_once}Ctrl-C ends it when those under way are told")


def show_page(found: Serving, *, as_json: bool = False) -> None:
    """Print where the page is, once it may be looked at."""
    if as_json:
        show_json({**found.as_data(), "page": page_of(found)})
        return
    say(f"{page_of(found)} shows {found.repository}; its API is at {found.url}")
    note("Ctrl-C ends it; runs that it launched go on without it")


def page_of(found: Serving) -> str:
    """Return where the page of a server is."""
    return found.url.removesuffix("v1")


def open_page(found: Serving, *, asked: bool | None, as_json: bool) -> None:
    """Have a browser open the page: where that was `asked` for, or (None) where people see one."""
    if not (asked or (asked is None and not as_json and _has_screen())):
        return
    if not webbrowser.open(page_of(found)) and asked:
        note(f"no browser could be opened: {page_of(found)}")


def _has_screen() -> bool:
    """Tell whether a browser would open beside the terminal, and not in its place."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or bool(
        {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    )
