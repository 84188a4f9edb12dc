"""`bgit blame --weights`: which bake moves an answer, and what would be said without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.records import given_name
from bakery.ui.chart import number
from bakery.ui.console import lay, open_console, say, say_at_length, show_json

if TYPE_CHECKING:
    from bakery.app.blame import Blame, Traced, Without

ROOM = 52
"""Characters of an answer that a table shows."""


def show_blame(found: Blame, *, as_json: bool = False) -> None:
    """Print a table for each question, and the culprit in a line."""
    if as_json:
        show_json(found.as_data())
        return
    out = open_console()
    out.print(Text(found.model, style="bold"), soft_wrap=True)
    names = short_names(found.bakes)
    for one in found.traced:
        say("")
        out.print(Text(f"> {one.question}", style="bold"), soft_wrap=True)
        say_at_length(_ended(one.answer, is_cut=one.is_cut))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("bake", no_wrap=True)
        table.add_column("moved")
        table.add_column("answer without it", overflow="fold")
        for row in one.without:
            name = Text(names[row.bake], style="red" if one.by is row else "")
            table.add_row(name, number(row.kl), _answer(row))
        base = one.without_all
        table.add_row(Text("all of them", style="dim"), number(base.kl), _answer(base))
        lay(out, table)
        say_at_length(_told(one))
    if len(found.traced) > 1:
        say("")
        say_at_length(_in_all(found))


def _told(one: Traced) -> str:
    """Return the culprit of one answer in a line."""
    if one.by is None:
        return "No bake is behind it: the base says the same."
    far = f"{number(one.by.kl)} nats per token"
    if one.by.is_same:
        return f"{one.by.bake} moves it most ({far}); without it alone the others say the same."
    return f"{one.by.bake} is behind it: without it, it is another answer, {far}."


def _in_all(found: Blame) -> str:
    count = len(found.traced)
    if found.culprit is None:
        return f"No bake is behind these {count} answers: the base says the same."
    return f"{found.culprit} is behind {found.behind[found.culprit]} of {count} answers."


def _answer(row: Without) -> Text:
    if row.is_same:
        return Text("the same", style="dim")
    text = " ".join(row.answer.split()) or "(nothing)"
    return Text(text if len(text) <= ROOM else text[: ROOM - 1] + "…")


def _ended(text: str, *, is_cut: bool) -> str:
    return (text or "(nothing)") + " …" * is_cut


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return what input.yml called each bake, where that names one of them alone."""
    given = [given_name(name) for name in names]
    pairs = zip(names, given, strict=True)
    return {name: short if short and given.count(short) == 1 else name for name, short in pairs}
