"""`bgit fetch`: what runs in the background have made becomes commits, on its own branch."""

from __future__ import annotations

import click

from bakery.app import background
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, arguments
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.ui.jobs import show_fetched
from bakery.ui.progress import reporter

FAILED = 1


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.option("--wait", is_flag=True, help="Wait until every job of this branch is over.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def fetch(context: click.Context, words: tuple[str, ...], wait: bool, as_json: bool) -> None:
    """Record what was baked in the background, or fetch as git does.

    Each bake is recorded on the branch that launched it, and only there. What is still running is
    shown with how far it is, what failed with its error. With anything to fetch from
    (`bgit fetch origin`, `--all`) it is git's fetch.
    """
    if words and (as_json or wait):
        raise ConfigError(
            f"{' '.join(words)} is for git's fetch, --json and --wait are for ours",
            hint="Fetch from a remote and from the background one after the other.",
        )
    if words:
        context.exit(passthrough.hand_to_git(["fetch", *arguments(context)]))
    repo = ModelRepo.find()
    with reporter() as notes:
        fetched = background.fetch(repo, notes, wait=wait)
    show_fetched(fetched, as_json=as_json)
    if fetched.refused:
        raise job.refusal(list(fetched.refused.values()))
    if fetched.has_failed:
        context.exit(FAILED)
