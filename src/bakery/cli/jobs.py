"""`bgit jobs`: the runs in the background."""

from __future__ import annotations

import time

import click

from bakery.app import jobs as app
from bakery.app.jobs import Launched
from bakery.errors import ConfigError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.store.store import Store
from bakery.ui.console import say_data
from bakery.ui.jobs import follow as print_log
from bakery.ui.jobs import show_jobs
from bakery.ui.progress import reporter

POLL_S = 0.2


@click.command()
@click.option("--all", "everything", is_flag=True, help="Show finished jobs, too.")
@click.option("--limit", "-n", type=click.IntRange(1), help="Show the latest N.")
@click.option("--follow", "-f", metavar="JOB", help="Follow what a job says until it is over.")
@click.option("--log", metavar="JOB", help="Show what a job has said so far.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def jobs(
    everything: bool, limit: int | None, follow: str | None, log: str | None, as_json: bool
) -> None:
    """List the runs in the background, or follow one.

    Shows those that run, wait, or can be fetched. A job is named by its id, or the first
    digits of it. They take turns: one runs, the others of the same store wait.
    """
    repo = ModelRepo.find()
    if follow is not None and log is not None:
        raise ConfigError("give --follow or --log, not both")
    one = follow if follow is not None else log
    if one is not None and (everything or limit or as_json):
        raise ConfigError("--all, --limit and --json are for the list, not for one job's output")
    with reporter() as notes:
        if one is None:
            found = app.jobs(repo, everything=everything, limit=limit, reporter=notes)
        else:
            meant = app.find(repo, one, notes)
    if one is None:
        show_jobs(found, as_json=as_json)
    elif follow is not None:
        _follow(repo.store, meant)
    else:
        say_data(meant.log.read_text(encoding="utf-8", errors="replace"), nl=False)


def _follow(store: Store, meant: Launched) -> None:
    path, name = job.record_path(store, meant.job.id), meant.job.id
    try:
        print_log(
            meant.log.read_bytes, lambda: not job.read(path).is_live, lambda: time.sleep(POLL_S)
        )
    except KeyboardInterrupt:
        click.echo(f"\njob {name} goes on: `bgit cancel {name}` stops it", err=True)
        return
    ended = job.read(path)
    if ended.state != "complete":
        raise StageError(f"job {ended.id} is {ended.state}: {ended.error}", hint=ended.hint or None)
    if ended.is_to_be_recorded:
        click.echo(f"job {ended.id} is complete: `bgit fetch` on {ended.branch} records it")
