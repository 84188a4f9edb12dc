"""`bgit rebase --base-model`: a chain on another base model; any other line is git's rebase."""

from __future__ import annotations

import click

from bakery.app import rebase as app
from bakery.app.gates import WAIVERS
from bakery.cli.raw import WeightsCommand
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.rebase import show_foreseen, show_rebased


class _Rebase(WeightsCommand):
    mark = "--base-model"
    has_value = True
    git_values = frozenset(
        {"--onto", "--exec", "-x", "--strategy", "-s", "--strategy-option", "-X", "--whitespace"}
    )


@click.command(cls=_Rebase)
@click.argument("words", nargs=-1, metavar="")
@click.option(
    "--base-model",
    metavar="REF",
    help="The base to make the bakes of this branch on: `tiny`, a Hugging Face id (ID@REVISION), a "
    "folder, or a .gguf file. Without it, git's rebase.",
)
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(WAIVERS),
    help="Go on as `bgit run --allow` does. What the recipe says was allowed is allowed again, but "
    "for the `gate`, which the last bake has to reach.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only say what would be made, and what that would take."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def rebase(
    words: tuple[str, ...],
    base_model: str | None,
    allow: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a chain anew on another base (--base-model), or rebase as git does.

    Each bake of this branch is made from its own input.yml, on what takes the place of its parent;
    the cards of both are shown, and one commit records all. What is made is kept: the same line
    again goes on where it was interrupted. Without --base-model the whole line is git's rebase.
    """
    if words or base_model is None:
        raise ConfigError(
            f"--base-model goes with no branch and no commit: {' '.join(words)!r} is too much",
            hint="`bgit rebase --base-model REF` moves the branch that is checked out; "
            "`git rebase` moves commits.",
        )
    repo = ModelRepo.find()
    if dry_run:
        show_foreseen(app.dry_run(repo, base_model), as_json=as_json)
        return
    with reporter() as shown:
        found = app.rebase(repo, base_model, allow=allow, reporter=shown)
    show_rebased(found, as_json=as_json)
    if found.refused is not None:
        raise found.refused
