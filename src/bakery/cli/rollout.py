"""`bgit rollout`: the teacher's answers, each under its question."""

from __future__ import annotations

import click

from bakery.cli import target
from bakery.records import Stimulus, Trajectory, read_rows
from bakery.ui import console


@click.command()
@target.row_options
def rollout(limit: int | None, count: bool, as_json: bool) -> None:
    """Show the teacher's answers of the configured target."""
    folders = target.current()
    rows = read_rows(folders.target / "trajectories.jsonl", Trajectory)
    stimuli = read_rows(folders.stim / "stimuli.jsonl", Stimulus)
    console.show_rows(
        rows, questions={s.id: s for s in stimuli}, limit=limit, count=count, as_json=as_json
    )
