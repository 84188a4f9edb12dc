"""`bgit gc`: git tidies its objects, and what nothing needs leaves the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bakery.app import gc as app
from bakery.app import remote_gc
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, alone_with, arguments, for_git, is_said, repository
from bakery.cli.said import Place
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.gc import show_collected
from bakery.ui.progress import reporter
from bakery.ui.weights import show_tidied

OURS = {
    "--weights-only": False,
    "--no-weights": False,
    "--dry-run": False,
    "--paid": False,
    "--beside": True,
    "--remote": False,
    "--grace": True,
    "--json": False,
}


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF GIT]...")
@click.option("--dry-run", is_flag=True, help="List what would leave the store; git does nothing.")
@click.option("--weights-only", is_flag=True, help="Tidy the store alone, not git's objects.")
@click.option("--no-weights", is_flag=True, help="Tidy git's objects alone, as `git gc` does.")
@click.option(
    "--paid", is_flag=True, help="Remove unneeded questions and answers of endpoints, too."
)
@click.option(
    "--beside",
    multiple=True,
    type=Place(),
    metavar="REPOSITORY",
    help="Another repository of this store (BGIT_STORE), whose needs count; repeatable.",
)
@click.option("--remote", is_flag=True, help="Tidy the remote of weights, and it alone.")
@click.option(
    "--grace",
    type=click.FloatRange(0, 36500),
    metavar="DAYS",
    help="With --remote: how long an object stays that no manifest names. 14",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
@click.pass_context
def gc(
    context: click.Context,
    words: tuple[str, ...],
    dry_run: bool,
    weights_only: bool,
    no_weights: bool,
    paid: bool,
    beside: tuple[Path, ...],
    remote: bool,
    grace: float | None,
    as_json: bool,
) -> None:
    """Tidy git's objects, then remove what nothing needs from the store.

    Needed is what a branch, tag, stash, working tree, job or the reflog names. What was touched
    after --prune=DATE stays (two weeks ago, or gc.pruneExpire), with --no-prune everything does.
    Other options are git's; with --auto the store is left alone.
    """
    if grace is not None and not remote:
        raise ConfigError("--grace goes with --remote", hint="--prune=DATE is for the store.")
    if remote:
        alone_with(context, "--remote", {"--grace", "--dry-run", "--json"})
        days = remote_gc.GRACE_DAYS if grace is None else grace
        with reporter() as shown:
            gone = remote_gc.gc(ModelRepo.find(), grace_days=days, dry_run=dry_run, reporter=shown)
        show_tidied(gone, as_json=as_json)
        return
    if weights_only and no_weights:
        raise ConfigError("--weights-only and --no-weights leave nothing to tidy")
    surely = weights_only or as_json or dry_run or paid or bool(beside)
    repo, typed = repository(surely=surely), arguments(context)
    if not (weights_only or dry_run):
        out = passthrough.STDERR if as_json else None
        code = passthrough.hand_to_git(["gc", *for_git(context, OURS)], out=out)
        if code:
            context.exit(code)
    if repo is None or no_weights or is_said(typed, "auto"):
        return
    with reporter() as shown:
        found = app.gc(
            repo,
            prune=pruned_before(typed),
            paid=paid,
            also=beside,
            dry_run=dry_run,
            reporter=shown,
        )
    if not {"-q", "--quiet"} & set(typed):
        show_collected(found, as_json=as_json)


def pruned_before(typed: Sequence[str]) -> str | None:
    """Return the date of the last --prune=DATE, as git reads a line; None: git's own default."""
    date = None
    for word in typed:
        name, equals, said = word.partition("=")
        if name in ("--no-prune", "--no-prun", "--no-pru"):
            date = "never"
        elif name in ("--prune", "--prun", "--pru"):
            date = said if equals else None
    return date
