"""`bgit revert`: bakes come out cleanly, whatever was baked or committed since."""

from __future__ import annotations

import click

from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.progress import reporter


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument(
    "arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMIT|MODEL... | --all"
)
def revert(arguments: tuple[str, ...]) -> None:
    """Take bakes back, or revert any other commit as git does.

    Bakes may be named by commit, model name or id; --all takes back every bake. Parent,
    recipe.yml and input.yml return to what they were, in one commit.
    """
    repo = ModelRepo.find()
    with reporter() as shown:
        done = repo.revert(arguments, shown)
    console.say(done)
