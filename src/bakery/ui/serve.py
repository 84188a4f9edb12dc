"""What `bgit serve` prints: where it is, and how to ask."""

from __future__ import annotations

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
    at_once = f"{found.rows} answers at once; " if found.rows else ""
    by = f"decoded by {found.engine}; " if found.engine else ""
    note(f"{by}{at_once}Ctrl-C ends it when those under way are told")
