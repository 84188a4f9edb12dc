"""`bgit jobs`: the runs in the background."""

from __future__ import annotations

import time

import click

from bakery.errors import ConfigError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.store.job import Job
from bakery.store.store import Store
from bakery.ui import console
from bakery.ui import jobs as shown

POLL_S = 0.2


@click.command()
@click.option("--all", "everything", is_flag=True, help="Those that are over and done with, too.")
@click.option("--limit", "-n", type=click.IntRange(1), help="Show the latest N.")
@click.option("--follow", "-f", metavar="JOB", help="Show what a job says, until it is over.")
@click.option("--log", metavar="JOB", help="Show what a job has said.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def jobs(
    everything: bool, limit: int | None, follow: str | None, log: str | None, as_json: bool
) -> None:
    """List the runs in the background, or follow one.

    Shown are those that work, wait, or are to be fetched. A job is named by its id, or the first
    digits of it. They take turns: one works, the others of the same store wait.
    """
    repo = ModelRepo.find()
    known = job.listed(repo.store, repository=repo.git.common_dir, note=console.note)
    if follow is not None and log is not None:
        raise ConfigError("give --follow or --log, not both")
    one = follow if follow is not None else log
    if one is not None and (everything or limit or as_json):
        raise ConfigError("--all, --limit and --json are for the list, not for one job's words")
    if follow is not None:
        _follow(repo.store, job.find(known, follow))
    elif log is not None:
        _log(repo.store, job.find(known, log))
    else:
        chosen = [found for found in known if everything or _matters(found, known)]
        latest = chosen[-limit:] if limit else chosen
        shown.show_jobs(latest, hidden=len(known) - len(latest), as_json=as_json)


def _matters(found: Job, known: list[Job]) -> bool:
    """Tell whether a job works, waits, is to be fetched, or is the last word on its branch."""
    last = [other for other in known if other.branch == found.branch][-1]
    return found.is_live or found.is_to_be_recorded or (found is last and not found.recorded)


def _follow(store: Store, found: Job) -> None:
    path, log = job.record_path(store, found.id), job.log_path(store, found.id)
    try:
        shown.follow(log.read_bytes, lambda: not job.read(path).is_live, lambda: time.sleep(POLL_S))
    except KeyboardInterrupt:
        click.echo(f"\njob {found.id} goes on: `bgit cancel {found.id}` stops it", err=True)
        return
    ended = job.read(path)
    if ended.state != "complete":
        raise StageError(f"job {ended.id} is {ended.state}: {ended.error}", hint=ended.hint or None)
    if ended.is_to_be_recorded:
        click.echo(f"job {ended.id} is complete: `bgit fetch` on {ended.branch} records it")


def _log(store: Store, found: Job) -> None:
    path = job.log_path(store, found.id)
    click.echo(path.read_text(encoding="utf-8", errors="replace"), nl=False)
