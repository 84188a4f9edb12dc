"""`bgit revert`: bakes come out cleanly, whatever was baked or committed since."""

from __future__ import annotations

import contextlib

import click

from bakery.app import leave_out
from bakery.app import revert as app
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand
from bakery.errors import BakeryError, ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.joined import show_left_out
from bakery.ui.progress import reporter


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument(
    "arguments", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMIT|MODEL... | --all"
)
@click.option("--only", is_flag=True, help="Take one bake back, and leave those baked on it.")
@click.option("--json", "as_json", is_flag=True, help="With --only: print what came of it as JSON.")
@click.pass_context
def revert(context: click.Context, arguments: tuple[str, ...], only: bool, as_json: bool) -> None:
    """Take bakes back, or revert any other commit as git does.

    Bakes are named by commit, model name or id; --all takes back every bake. Parent,
    recipe.yml and input.yml return to what they were, in one commit. --only takes one bake out of
    the middle: the later ones keep what they learnt, and all questions are asked again.
    """
    repo = ModelRepo.find()
    if only:
        if len(arguments) != 1:
            raise ConfigError("--only takes one bake back", hint="Name one: `bgit tree`.")
        with reporter() as shown:
            left = leave_out.leave_out(repo, arguments[0], reporter=shown)
        show_left_out(left, as_json=as_json)
        return
    if as_json:
        raise ConfigError("--json goes with --only")
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
