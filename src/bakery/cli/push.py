"""`bgit push`: weights to their remote, then git's own push."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bakery.app import push as app
from bakery.app import weights
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, arguments, for_git, is_said, repository
from bakery.errors import BakeryError, ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.console import note
from bakery.ui.progress import reporter
from bakery.ui.weights import show_pushed

OURS = {"--weights-only": False, "--no-weights": False, "--data": False, "--json": False}


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF GIT]...")
@click.option("--weights-only", is_flag=True, help="Send weights alone; git pushes nothing.")
@click.option("--no-weights", is_flag=True, help="Push commits alone, as `git push` does.")
@click.option("--data", is_flag=True, help="Send questions and answers, too.")
@click.option("--json", "as_json", is_flag=True, help="Print what was sent as JSON.")
@click.pass_context
def push(
    context: click.Context,
    words: tuple[str, ...],
    weights_only: bool,
    no_weights: bool,
    data: bool,
    as_json: bool,
) -> None:
    """Send the weights that a remote lacks, then push as git does.

    Sent are the models of the branches that git would push, as far as they are in this clone: to
    the remote of `bgit weights remote`. Without one, this is git's push. All other options are
    git's; with -n nothing is sent.
    """
    if no_weights and (weights_only or data or as_json):
        raise ConfigError("--no-weights sends no weights: it goes with no other option of ours")
    repo = repository(surely=weights_only or data or as_json)
    typed = for_git(context, OURS)
    sent = app.NOTHING if as_json else None
    if repo is not None and not no_weights and (weights_only or data or _has(repo)):
        with reporter() as shown:
            bakes = app.pushed_bakes(repo, typed, Path.cwd(), alone=weights_only, reporter=shown)
            dry_run = is_dry_run(list(arguments(context)))
            sent = app.push(repo, bakes, data=data, dry_run=dry_run, reporter=shown)
    if sent is not None and not as_json:
        show_pushed(sent)
    out = passthrough.STDERR if as_json else None
    code = 0 if weights_only else passthrough.hand_to_git(["push", *typed], out=out)
    if sent is not None and as_json:
        show_pushed(sent, as_json=True)
    context.exit(code)


def _has(repo: ModelRepo) -> bool:
    """Tell whether this clone has a remote of weights; say so where one is only proposed."""
    try:
        found = weights.remote(repo)
    except BakeryError as error:  # git's push needs no .bread that can be read
        note(f"no weights are sent: {error.message}")
        return False
    if not found.enabled and found.is_waiting:
        note(found.announcement)
    return bool(found.enabled)


def is_dry_run(typed: Sequence[str]) -> bool:
    """Tell whether a push is only tried, as git reads a line."""
    said = is_said(typed, "dry-run")
    for word in typed:
        if word.startswith("-") and not word.startswith("--"):
            said = said or "n" in word[1:].partition("o")[0]
    return said
