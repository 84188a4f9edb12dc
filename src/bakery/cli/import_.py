"""`bgit import`: weights, questions and answers from another clone, an export or an archive."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import import_ as imports
from bakery.errors import ConfigError
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.ui.import_ import show_imported
from bakery.ui.progress import reporter


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--all", "everything", is_flag=True, help="All that the bakes of this branch need.")
@click.option("--json", "as_json", is_flag=True, help="Print what was taken as JSON.")
@click.pass_context
def import_(
    context: click.Context, source: Path, models: tuple[str, ...], everything: bool, as_json: bool
) -> None:
    """Bring weights, questions and answers into this clone's store.

    SOURCE is another clone, its store, a folder or archive that `bgit download` made. Without
    MODEL the current model's are taken. Everything is checked against the digests of recipe.yml
    first. Ends with 1 where something is still missing, or SOURCE is an export of another model.
    """
    if models and everything:
        raise ConfigError("name models, or give --all: not both")
    repo = ModelRepo.find()
    wanted = _wanted(repo, models, everything)
    with reporter() as shown:
        found = imports.take(repo, source, wanted, shown)
        named = {str(model) for bake in wanted for model in bake.models}
        other = [name for kind, name in (*found.taken, *found.here) if kind == "weights"]
        is_other = bool(models and other) and named.isdisjoint(other)
        if is_other:
            shown.note(f"{source} is an export of {other[0]}, not of {' '.join(models)}")
    show_imported(found, as_json=as_json)
    context.exit(1 if found.missing or is_other else 0)


def _wanted(repo: ModelRepo, models: tuple[str, ...], everything: bool) -> list[RecordedBake]:
    if everything:
        return repo.bakes()
    named = [repo.find_model(model) for model in models or ("parent",)]
    return [bake for bake in named if bake is not None]
