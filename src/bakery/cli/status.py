"""`bgit status`: where the repository stands."""

from __future__ import annotations

import sys
import time

import click

from bakery.repo.look import status as look
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.status import changed_lines, show_status

EVERY_S = 2.0
"""Between two looks, where no number is given."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--watch",
    "-w",
    "every",
    type=click.FloatRange(min=0.1),
    is_flag=False,
    flag_value=EVERY_S,
    metavar="[SECONDS]",
    help="Look again every few seconds until nothing is running. In a pipe: a line per change.",
)
def status(as_json: bool, every: float | None) -> None:
    """Show where the repository stands and what `run` would do."""
    repo = ModelRepo.find()
    if every is None:
        show_status(look.status(repo), as_json=as_json)
    elif sys.stdout.isatty() and not as_json:
        _redraw(repo, every)
    else:
        _follow(repo, every, as_json=as_json)


def _redraw(repo: ModelRepo, every: float) -> None:
    while True:
        now = look.status(repo)
        click.clear()
        show_status(now)
        if now.is_settled:
            return
        time.sleep(every)


def _follow(repo: ModelRepo, every: float, *, as_json: bool) -> None:
    """Print what changes, line by line; as JSON: the whole, as often as something does."""
    before = None
    while True:
        now = look.status(repo)
        lines = list(changed_lines(before, now))
        if lines and as_json:
            show_status(now, as_json=True)
        elif not as_json:
            for line in lines:
                console.say(line)
        sys.stdout.flush()
        if now.is_settled:
            return
        before = now
        time.sleep(every)
