"""What `bgit download` wrote, and how to use it."""

from __future__ import annotations

from rich.text import Text

from bakery.app.model_card import Exported
from bakery.ui.console import lay, open_console, pairs, say, show_json
from bakery.ui.status import size


def show_exported(found: Exported, *, as_json: bool = False) -> None:
    """Print where an export is, what it holds, and the commands that use it."""
    weights = found.weights
    if as_json:
        show_json(found.as_data())
        return
    table = pairs()
    table.add_row("model", Text(str(weights.model), style="bold green"))
    what = f"merged, {weights.merged_as}" if weights.merged_as else f"adapter, rank {weights.rank}"
    as_gguf = " as GGUF" if weights.gguf else ""
    table.add_row("what", f"{what}, on {weights.base.name}{as_gguf}")
    table.add_row("where", str(found.path))
    table.add_row("size", size(found.size))
    for name, digest in found.digests.items():
        table.add_row("sha256", f"{digest}  {name}")
    lay(open_console(), table)
    if weights.gguf is not None:
        say(f"\n{weights.gguf.sentence()}.")
        for note in weights.gguf.notes:
            say(f"note: {note}.")
    for title, command in found.usage:
        say(f"\n{title}:")
        for line in command.splitlines():
            say(f"  {line}")
    say(f"\n{weights.base.name} brings its own licence: it binds these weights, too.")
