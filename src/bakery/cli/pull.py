"""`bgit pull`: git's own pull, then the weights of what it brought."""

from __future__ import annotations

import click

from bakery.app import pull as app
from bakery.app import weights
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, arguments, for_git, is_said, repository
from bakery.errors import ConfigError
from bakery.ui.console import note
from bakery.ui.progress import reporter
from bakery.ui.weights import show_pulled

OURS = {
    "--weights-only": False,
    "--no-weights": False,
    "--all-weights": False,
    "--data": False,
    "--json": False,
}


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF GIT]...")
@click.option("--weights-only", is_flag=True, help="Fetch weights alone; git pulls nothing.")
@click.option("--no-weights", is_flag=True, help="Pull commits alone, as `git pull` does.")
@click.option("--all-weights", is_flag=True, help="Fetch those of every model of this branch.")
@click.option("--data", is_flag=True, help="Fetch questions and answers, too.")
@click.option("--json", "as_json", is_flag=True, help="Print what was fetched as JSON.")
@click.pass_context
def pull(
    context: click.Context,
    words: tuple[str, ...],
    weights_only: bool,
    no_weights: bool,
    all_weights: bool,
    data: bool,
    as_json: bool,
) -> None:
    """Pull as git does, then fetch the current model's weights.

    They come from the remote of `bgit weights remote`, checked against the digests of recipe.yml.
    Without one, this is git's pull. All other options are git's. With --weights-only or
    --all-weights, exits with 1 where the remote lacks some.
    """
    surely = weights_only or all_weights or data
    if no_weights and (surely or as_json):
        raise ConfigError("--no-weights fetches no weights: it goes with no other option of ours")
    typed = for_git(context, OURS)
    if not weights_only:
        out = passthrough.STDERR if as_json else None
        code = passthrough.hand_to_git(["pull", *typed], out=out)
        if code:
            context.exit(code)
    repo = repository(surely=surely or as_json)  # now: the pull may have brought .bread
    if repo is None or no_weights or is_said(arguments(context), "dry-run"):
        return
    found = weights.remote(repo)
    if not (found.enabled or surely):
        if found.is_waiting:
            note(found.announcement)
        if as_json:
            show_pulled(app.NOTHING, as_json=True)
        return
    with reporter() as shown:
        pulled = app.pull(repo, everything=all_weights, data=data, reporter=shown)
    show_pulled(pulled, as_json=as_json)
    lacks = any(one.kind == "weights" for one in pulled.missing)
    context.exit(1 if lacks and (weights_only or all_weights) else 0)
