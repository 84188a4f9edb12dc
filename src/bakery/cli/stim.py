"""`bgit stim`: the questions."""

from __future__ import annotations

import click

from bakery.cli import target
from bakery.records import Stimulus, read_rows
from bakery.ui import console


@click.command()
@target.row_options
def stim(limit: int | None, count: bool, as_json: bool) -> None:
    """Show the questions of the configured target."""
    folder = target.current().stim
    rows = read_rows(folder / "stimuli.jsonl", Stimulus)
    console.show_rows(rows, limit=limit, count=count, as_json=as_json)
