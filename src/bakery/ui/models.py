"""`bgit models`: the models of a branch or of all, with what is known of each."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery.repo.look.models import Model, Models
from bakery.ui import verdict
from bakery.ui.chart import number
from bakery.ui.console import MISSING_WEIGHTS, arrow, lay, note, open_console, say, show_json


def show_models(found: Models, *, as_json: bool = False) -> None:
    """Print the base and its bakes, oldest first; a star marks the parent of the next one.

    Owner and repository are the same in every row, and stand above the table.
    """
    if as_json:
        show_json(found.as_data())
        return
    state = found.state
    out = open_console()
    say(f"in {state.owner}/{state.name}/")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", width=1)
    table.add_column("model", overflow="fold")
    table.add_column("KL to teacher", no_wrap=True)
    judged = [_verdict(entry) for entry in found.models]
    if any(judged):
        table.add_column("verdict", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    table.add_column("baked on", overflow="fold")
    at_base = state.parent is None and state.former_parent is None
    between = ("-",) if any(judged) else ()
    _row(table, state.base.name, at_base, "-", *between, "base", "-")
    for bake in found.former:
        current = state.former_parent in bake.models
        _row(table, bake.label, current, "-", *between, "vendor", bake.parent or "-")
    for entry, found_word in zip(found.models, judged, strict=True):
        _row(
            table,
            str(entry.model).removeprefix(f"{state.owner}/{state.name}/"),
            entry.is_current,
            _divergence(entry, out),
            *((found_word or "-",) if between else ()),
            "here" if entry.has_weights else "missing",
            entry.bake.parent.given_name if entry.bake.parent else _base(entry, state.base.name),
        )
    lay(out, table)
    if found.left_out:
        note(f"{found.left_out} older models are not shown")
    if any(not entry.has_weights for entry in found.models):
        note(f"missing weights: {MISSING_WEIGHTS}")


def _base(entry: Model, own: str) -> str:
    """Return the base that a bake was made on: this branch's, or that of a student."""
    is_student = entry.bake.part("teacher") is not None
    return str(entry.bake.part("base")["name"]) if is_student else own


def _verdict(entry: Model) -> Text | None:
    """Return whether the prompt survived; None: nobody has looked, as at a step on the way."""
    card, joined = entry.bake.card, entry.bake.part("joined")
    if joined:
        return verdict.of_joined(joined, at_length=False)
    if card is None or card.verdict is None or entry.model != entry.bake.model:
        return None
    return verdict.word(card.verdict)


def _row(table: Table, name: str, is_current: bool, *cells: str | Text) -> None:
    style = "bold green" if is_current else ""
    table.add_row("*" if is_current else "", Text(name, style=style), *cells)


def _divergence(entry: Model, out: Console) -> str:
    card, after = entry.bake.card, entry.kl
    if card is None or after is None:
        return "-"
    return f"{number(card.kl_before)} {arrow(out)} {number(after)}"
