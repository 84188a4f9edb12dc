"""`bgit cancel`: stop runs in the background."""

from __future__ import annotations

import click

from bakery.app import background
from bakery.errors import BakeryError, ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.ui import console
from bakery.ui import jobs as shown


@click.command()
@click.argument("names", nargs=-1, metavar="JOB...")
@click.option("--all", "everything", is_flag=True, help="All that work or wait.")
def cancel(names: tuple[str, ...], everything: bool) -> None:
    """Stop runs in the background; what their stages have made is kept.

    A job is named by its id, or the first digits of it: `bgit jobs` lists them.
    """
    repo = ModelRepo.find()
    known = job.listed(repo.store, repository=repo.git.common_dir, note=console.note)
    if bool(names) == everything:
        raise ConfigError("name a job, or give --all", hint="`bgit jobs` lists them.")
    if everything:
        # The last first: none begins because the one before it ended.
        chosen = [found for found in reversed(known) if found.is_live]
        if not chosen:
            console.say("no job works or waits")
    else:
        chosen = list(dict.fromkeys(job.find(known, name) for name in names))
    refused: list[BakeryError] = []
    for found in chosen:
        try:
            shown.show_cancelled(background.cancel(repo.store, found))
        except BakeryError as error:  # said at the end: the others are to be stopped, too
            refused.append(error)
    if refused:
        raise job.refusal(refused)
