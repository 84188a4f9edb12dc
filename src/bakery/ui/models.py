"""`bgit models`: the models of a branch or of all, with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery.records import ModelRef
from bakery.repo.files.hosted import FormerBake
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.state import State
from bakery.ui.chart import number
from bakery.ui.console import arrow, lay, note, open_console, say, show_json


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a list: a bake at one of the steps that it kept."""

    bake: RecordedBake
    model: ModelRef
    has_weights: bool
    is_current: bool


def show_models(
    entries: Sequence[Entry],
    state: State,
    *,
    former: Sequence[FormerBake] = (),
    left_out: int = 0,
    as_json: bool = False,
) -> None:
    """Print the base and its bakes, oldest first; a star marks the parent of the next one.

    Owner and repository are the same in every row, and stand above the table.
    """
    if as_json:
        show_json([_base_data(state), *map(_former_data, former), *map(_data, entries)])
        return
    out = open_console()
    say(f"in {state.owner}/{state.name}/")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", width=1)
    table.add_column("model", overflow="fold")
    table.add_column("KL to teacher", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    table.add_column("baked on", overflow="fold")
    at_base = state.parent is None and state.former_parent is None
    _row(table, state.base.name, at_base, "-", "base", "-")
    for bake in former:
        current = state.former_parent in bake.models
        _row(table, bake.label, current, "-", "vendor", bake.parent or "-")
    for entry in entries:
        _row(
            table,
            str(entry.model).removeprefix(f"{state.owner}/{state.name}/"),
            entry.is_current,
            _divergence(entry, out),
            "here" if entry.has_weights else "missing",
            entry.bake.parent.given_name if entry.bake.parent else state.base.name,
        )
    lay(out, table)
    if left_out:
        note(f"{left_out} older models are not shown")
    if any(not entry.has_weights for entry in entries):
        note("missing weights: `bgit import DIR` copies them, `bgit reproduce` makes them again")


def _row(table: Table, name: str, is_current: bool, *cells: str) -> None:
    style = "bold green" if is_current else ""
    table.add_row("*" if is_current else "", Text(name, style=style), *cells)


def _divergence(entry: Entry, out: Console) -> str:
    after = _kl(entry)
    if after is None:
        return "-"
    return f"{number(entry.bake.part('card')['kl_before'])} {arrow(out)} {number(after)}"


def _kl(entry: Entry) -> float | None:
    """Return what the card says, or of a step kept on the way what was measured there."""
    kept = entry.bake.on_the_way(entry.model.step)
    found = kept.get("kl") if kept else (entry.bake.part("card") or {}).get("kl_after")
    return None if found is None else float(found)


def _base_data(state: State) -> dict[str, Any]:
    return {
        "name": state.base.name,
        "model": state.base.name,
        "is_base": True,
        "is_current": state.parent is None,
        "revision": state.base.revision,
        "digest": state.base.digest,
    }


def _former_data(bake: FormerBake) -> dict[str, Any]:
    return {
        "name": bake.name,
        "model": bake.models[0] if bake.models else None,
        "models": bake.models,
        "parent": bake.parent,
        "is_base": False,
        "has_weights": False,
    }


def _data(entry: Entry) -> dict[str, Any]:
    bake = entry.bake
    return {
        "name": bake.name,
        "id": bake.id,
        "model": entry.model,
        "models": bake.models,
        "is_base": False,
        "is_current": entry.is_current,
        "has_weights": entry.has_weights,
        "parent": bake.parent,
        "digest": bake.digest_of(entry.model.step),
        "kl": _kl(entry),
        **{key: bake.part(key) for key in ("card", "loss", "seconds", "finished")},
    }
