"""`bgit revert`: bakes come out cleanly, whatever was baked or committed since."""

from __future__ import annotations

import contextlib

import click

from bakery.cli import passthrough
from bakery.errors import BakeryError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.progress import reporter


@click.command(context_settings={"ignore_unknown_options": True})
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
    bakes = repo.names_bakes(arguments)
    if bakes is None:
        if not any(word.startswith("-") for word in arguments):  # -m 1: the 1 is no commit
            for word in arguments:
                _refuse_lost(repo, word)
        before = repo.state()
        code = passthrough.hand_to_git(["revert", *arguments])
        # Git may stop at a conflict in .bread, and says so itself.
        with contextlib.suppress(BakeryError):
            console.show_moved(before, repo.state())
        context.exit(code)
    with reporter() as shown:
        commit = repo.revert(arguments, shown)
    console.show_reverted(bakes, commit, repo.state())


def _refuse_lost(repo: ModelRepo, word: str) -> None:
    """Refuse a bake's name that is nothing to git: one that was taken back, or is elsewhere."""
    commit = repo.git.ask("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}")
    if commit is None and ".." not in word:
        bake = repo.find_model(word)
        raise RepoError(
            f"{bake.model if bake else word} is not baked on this branch",
            hint="`bgit tree` shows which branch has it.",
        )
