"""What `bgit import` took, and what is still missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakery.ui.console import say, show_json

if TYPE_CHECKING:
    from bakery.app.import_ import Imported


def show_imported(found: Imported, *, as_json: bool = False) -> None:
    """Print what became of every folder that was wanted."""
    parts = {"taken": found.taken, "here": found.here, "missing": found.missing}
    if as_json:
        show_json(found.as_data())
        return
    labels = {"taken": "took", "here": "was here", "missing": "not there"}
    for part, listed in parts.items():
        for kind, name in listed:
            say(f"{labels[part]:<10} {kind:<10} {name}")
    if not any(parts.values()):
        say("Nothing is needed: no bake was asked for.")
    elif found.missing:
        say("\nStill missing: import from elsewhere, or `bgit reproduce MODEL` makes them again.")
