"""`bgit revert`: bakes come out cleanly, whatever was baked or committed since."""

from __future__ import annotations

import contextlib

import click

from bakery.app import revert as app
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand
from bakery.errors import BakeryError
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.progress import reporter


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument(
    "arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMIT|MODEL... | --all"
)
@click.pass_context
def revert(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Take bakes back, or revert any other commit as git does.

    Bakes are named by commit, model name or id; --all takes back every bake. Parent,
    recipe.yml and input.yml return to what they were, in one commit.
    """
    repo = ModelRepo.find()
    if repo.names_bakes(arguments) is None:
        if not any(word.startswith("-") for word in arguments):  # -m 1: the 1 is no commit
            app.refuse_lost(repo, arguments)
        before = repo.state()
        code = passthrough.hand_to_git(["revert", *arguments])
        # Git may stop at a conflict in .bread, and says so itself.
        with contextlib.suppress(BakeryError):
            console.show_moved(before, repo.state())
        context.exit(code)
    with reporter() as shown:
        found = app.revert(repo, arguments, reporter=shown)
    console.show_reverted(found)
