"""`bgit cancel`: stop runs in the background."""

from __future__ import annotations

import click

from bakery.app import jobs as app
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.ui.jobs import show_cancelled
from bakery.ui.progress import reporter


@click.command()
@click.argument("names", nargs=-1, metavar="JOB...")
@click.option("--all", "everything", is_flag=True, help="Stop all that run or wait.")
def cancel(names: tuple[str, ...], everything: bool) -> None:
    """Stop runs in the background; what their stages have made is kept.

    A job is named by its id, or the first digits of it: `bgit jobs` lists them.
    """
    with reporter() as notes:
        found = app.cancel(ModelRepo.find(), names, everything=everything, reporter=notes)
    show_cancelled(found)
    if found.refused:
        raise job.refusal(found.refused)
