"""`bgit diff A B` of two models: what their recipes say differently, and what both gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery.repo.look.diff import Change, Comparison
from bakery.repo.look.wording import Line
from bakery.ui.chart import number
from bakery.ui.console import (
    arrow,
    is_unicode,
    lay,
    open_console,
    say,
    say_at_length,
    show_json,
)

if TYPE_CHECKING:
    from bakery.app.diff import Behaviour, Differed, Weights

_STYLES = {"same": "", "old": "red", "new": "green"}
_MARKS = {"same": ("", ""), "old": ("[-", "-]"), "new": ("{+", "+}")}
"""As git's word diff has them."""

MATRICES = 8
"""That are named of all."""

BAR = 20
"""Columns of a whole share."""

FIRST = 8
"""Questions that are shown, of those that moved most."""


def show_differed(found: Differed, *, as_json: bool = False) -> None:
    """Print two models side by side: recipes, weights, answers, as far as they were asked for."""
    if as_json:
        show_json(found.as_data())
        return
    if found.recipes is not None:
        show_comparison(found.recipes)
    else:
        out = open_console()
        out.print(Text(f"--- {found.old}", style="bold"), soft_wrap=True)
        out.print(Text(f"+++ {found.new}", style="bold"), soft_wrap=True)
    if found.weights is not None:
        _show_weights(found.weights)
    if found.behaviour is not None:
        _show_behaviour(found.behaviour)


def _show_weights(found: Weights) -> None:
    out = open_console()
    whole = found.whole
    say("")
    out.print(Text("Weights", style="bold"))
    say(
        f"apart by {number(whole.apart)}; the old adds {number(whole.old)} to the base, "
        f"the new {number(whole.new)} (Frobenius norms)"
    )
    for title, parts in (
        ("layer", found.layers),
        ("module", found.modules),
        (f"matrix ({len(found.matrices)})", found.matrices[:MATRICES]),
    ):
        say("")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in (title, "apart", "share", ""):
            table.add_column(column, overflow="fold" if column == title else "ellipsis")
        for part in parts:
            bar = ("█" if is_unicode(out) else "#") * round(BAR * part.share)
            table.add_row(part.name, number(part.apart), f"{100 * part.share:.1f} %", bar)
        lay(out, table)


def _show_behaviour(found: Behaviour) -> None:
    out = open_console()
    say("")
    out.print(Text("Behaviour", style="bold"))
    count = len(found.asked)
    of = "questions of their targets" if found.from_store else "general questions"
    say_at_length(
        f"{found.same} of {count} answers are the same; the new is {number(found.kl)} nats per "
        f"token from the old, on {count} {of}"
    )
    for one in found.asked[:FIRST]:
        say("")
        out.print(Text(f"{number(one.kl)}  > {one.question}", style="bold"), soft_wrap=True)
        if one.is_same:
            say_at_length(f"  the same: {one.new}")
            continue
        out.print(Text(f"- {one.old}", style="red"), soft_wrap=True)
        out.print(Text(f"+ {one.new}", style="green"), soft_wrap=True)
    if count > FIRST:
        say(f"\n{count - FIRST} more moved less: --json has them all")


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
        for place, hunk in enumerate(change.words):
            if place:
                out.print(Text("@@", style="cyan"))
            for line in hunk:
                out.print(_words(out, line), soft_wrap=True)
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


def _words(out: Console, line: Line) -> Text:
    """Return a line with what goes and comes marked: by colours alone where there are some."""
    has_colors = out.color_system is not None
    found = Text()
    for piece in line:
        before, after = ("", "") if has_colors else _MARKS[piece.kind]
        found.append(f"{before}{piece.text}{after}", style=_STYLES[piece.kind])
    return found


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
        table.add_row(change.key, shown(change.old), arrow(out), shown(change.new))
    lay(out, table)


def shown(value: Any) -> str:
    """Return a value of a recipe in words."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else number(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
