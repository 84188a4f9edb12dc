"""What `bgit download` wrote, and how to use it."""

from __future__ import annotations

from rich.text import Text

from bakery.app.model_card import Exported, Weights
from bakery.ui.console import lay, open_console, pairs, say, show_json
from bakery.ui.status import size


def show_exported(found: Exported, *, as_json: bool = False) -> None:
    """Print where an export is, what it holds, and the commands that use it."""
    weights = found.weights
    if as_json:
        show_json(found.as_data())
        return
    table = pairs()
    table.add_row("model", Text(weights.called, style="bold green"))
    table.add_row("what", _what(weights))
    table.add_row("where", str(found.path))
    table.add_row("size", size(found.size))
    for name, digest in found.digests.items():
        table.add_row("sha256", f"{digest}  {name}")
    lay(open_console(), table)
    if weights.compressed is not None:
        say(f"\n{weights.compressed.sentence()}.")
    if weights.gguf is not None:
        say(f"\n{weights.gguf.sentence()}.")
        for note in weights.gguf.notes:
            say(f"note: {note}.")
    for title, command in found.usage:
        say(f"\n{title}:")
        for line in command.splitlines():
            say(f"  {line}")
    say(f"\n{weights.base.name} brings its own licence: it binds these weights, too.")


def _what(weights: Weights) -> str:
    as_gguf = " as GGUF" if weights.gguf else ""
    if weights.model is None:
        return f"the base{as_gguf}, {weights.merged_as}"
    what = f"merged, {weights.merged_as}" if weights.merged_as else f"adapter, rank {weights.rank}"
    return f"{what}, on {weights.base.name}{as_gguf}"
