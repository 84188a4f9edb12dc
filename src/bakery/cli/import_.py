"""`bgit import`: weights, questions and answers from another clone, an export or an archive."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import import_ as app
from bakery.cli.said import Place
from bakery.repo.model_repo import ModelRepo
from bakery.ui.import_ import show_imported
from bakery.ui.progress import reporter


@click.command("import")
@click.argument("source", type=Place())
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--all", "everything", is_flag=True, help="Take all that this branch's bakes need.")
@click.option("--json", "as_json", is_flag=True, help="Print what was taken as JSON.")
@click.pass_context
def import_(
    context: click.Context, source: Path, models: tuple[str, ...], everything: bool, as_json: bool
) -> None:
    """Bring weights, questions and answers into this clone's store.

    SOURCE is another clone, its store, a folder or archive that `bgit download` made. Without
    MODEL the current model's are taken. Everything is checked against the digests of recipe.yml
    first. Exits with 1 if something is still missing, or SOURCE is an export of another model.
    """
    repo = ModelRepo.find()
    with reporter() as shown:
        found = app.import_(repo, source, models, everything=everything, reporter=shown)
        if found.other:
            shown.note(f"{source} is an export of {found.other}, not of {' '.join(models)}")
    show_imported(found, as_json=as_json)
    context.exit(1 if found.missing or found.other else 0)
