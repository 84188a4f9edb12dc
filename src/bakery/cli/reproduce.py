"""`bgit reproduce`: is what the recipe says what comes out?"""

from __future__ import annotations

import click

from bakery.app import reproduce as app
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.reproduce import show_reproduced, show_steps


@click.command()
@click.argument("model", default="parent", metavar="[MODEL]")
@click.option(
    "--force", is_flag=True, help="Start from the base, even if an ancestor's weights are here."
)
@click.option("--dry-run", is_flag=True, help="Only list what would be made, in order.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def reproduce(
    context: click.Context, model: str, force: bool, dry_run: bool, as_json: bool
) -> None:
    """Make a model again from its recipe, and compare the digests with the recorded ones.

    MODEL is any name that `bgit models` shows, else the current one. What this clone lacks goes
    into its store; nothing recorded is replaced. Exits with 1 if anything differs.
    """
    repo = ModelRepo.find()
    bake = repo.find_bake(model)
    if dry_run:
        show_steps(app.steps(repo, bake, force=force), as_json=as_json)
        return
    with reporter() as shown:
        found = app.reproduce(repo, bake, force=force, reporter=shown)
    show_reproduced(found, as_json=as_json)
    context.exit(0 if found.is_same else 1)
