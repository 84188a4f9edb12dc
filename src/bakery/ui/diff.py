"""`bgit diff A B` of two models: what their recipes say differently, and what both gave."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery.repo.look.diff import Change, Comparison
from bakery.ui.chart import number
from bakery.ui.console import arrow, lay, open_console, say, show_json

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def show_comparison(found: Comparison, *, as_json: bool = False) -> None:
    """Print two recipes side by side."""
    if as_json:
        show_json(found.as_data())
        return
    out = open_console()
    out.print(Text(f"--- {found.old}", style="bold"), soft_wrap=True)
    out.print(Text(f"+++ {found.new}", style="bold"), soft_wrap=True)
    for change in found.prompts:
        out.print()
        out.print(Text(f"{change.kind} prompt of {change.target}", style="bold"), soft_wrap=True)
        for line in change.lines:
            out.print(Text(line, style=_STYLES.get(line[:1], "")), soft_wrap=True)
    if found.removed or found.added:
        out.print()
        out.print(Text("Targets", style="bold"))
        for name in found.removed:
            out.print(Text(f"- {name}", style="red"), soft_wrap=True)
        for name in found.added:
            out.print(Text(f"+ {name}", style="green"), soft_wrap=True)
    _show_changes(out, "Settings", found.settings)
    if found.is_same:
        say("\nThe recipes say the same.")
    _show_changes(out, "Result", found.results)


def _show_changes(out: Console, title: str, changes: tuple[Change, ...]) -> None:
    if not changes:
        return
    out.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(title, style="dim")
    table.add_column("old", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("new", overflow="fold")
    for change in changes:
        table.add_row(change.key, _shown(change.old), arrow(out), _shown(change.new))
    lay(out, table)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else number(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
