"""What `bgit reproduce` made again, beside what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.ui.console import arrow, lay, open_console, say, show_json
from bakery.ui.times import duration

if TYPE_CHECKING:
    from bakery.app.reproduced import Reproduced, Step

_UNITS = {"stim": "questions", "rollout": "answers", "bake": "steps"}

_SHOWN = 16
"""Digits of a digest that are shown; --json has all."""


def show_reproduced(found: Reproduced, *, as_json: bool = False) -> None:
    """Print a table for every bake, what differs in the environment, and the verdict."""
    if as_json:
        show_json(found.as_data())
        return
    out = open_console()
    for again in found.bakes:
        out.print(Text(again.bake.name, style="bold"), soft_wrap=True)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("stage", "recorded", "found", "same"):
            table.add_column(column, no_wrap=True)
        table.add_column("of", overflow="fold")
        for result in again.results:
            found_digest = (result.found or "-")[:_SHOWN]
            same = Text("yes", style="green") if result.is_same else Text("no", style="bold red")
            of = f"{result.name}{f' ({result.note})' if result.note else ''}"
            table.add_row(result.stage, result.recorded[:_SHOWN], found_digest, same, of)
        lay(out, table)
        if not again.is_same:
            for change in again.environment:
                old, new = change.old, "-" if change.new is None else change.new
                say(f"differs: {change.key}: {old} {arrow(out)} {new}")
            if not again.environment:
                say("The versions, threads, device and choices are those of the recipe.")
            if again.kept:
                say(f"What was found is kept in {again.kept}; nothing recorded was replaced.")
        say("")
    for bake in found.not_made:
        say(f"{bake.name} was not made: its parent came out differently, and the recorded one "
            "is not here")  # fmt: skip
    say("Every digest matches the recorded one." if found.is_same else "Not every digest matches.")


def show_steps(steps: Sequence[Step], *, as_json: bool = False) -> None:
    """Print what a reproduction would go through, with what it took when it was recorded."""
    if as_json:
        show_json(list(steps))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("", "stage", "makes", "took", "here"):
        table.add_column(column, no_wrap=True)
    table.add_column("of", overflow="fold")
    for number, step in enumerate(steps, start=1):
        took = "-" if step.seconds is None else duration(step.seconds)
        here = "yes" if step.is_here else "no"
        makes = f"{step.count} {_UNITS[step.stage]}"
        table.add_row(str(number), step.stage, makes, took, here, step.name)
    lay(open_console(), table)
