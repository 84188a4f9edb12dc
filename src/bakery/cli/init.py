"""`bgit init`: a new model repository."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import run
from bakery.repo import begin
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="NAME")
@click.option(
    "--base-model",
    metavar="REF",
    default="tiny",
    show_default=True,
    help="Weights to start from: `tiny` (shipped), a Hugging Face id (ID@REVISION), a folder, or "
    "a .gguf file.",
)
@click.option("--revision", default="", metavar="REV", help="Of a base model on the hub.")
@click.option("--owner", help="First part of every model's name; by default from git's user.name.")
@click.option("--name", help="Second part of every model's name; by default that of the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def init(
    folder: Path,
    base_model: str,
    revision: str,
    owner: str | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Make a model repository.

    NAME is a new folder, or one that is there (`.`): what is in it stays as it is. A git
    repository gets one commit with bgit's files.
    """
    called, outer = name or folder.resolve().name, begin.around(folder)
    begin.check(folder, name=called, owner=owner)  # before a base model is fetched
    base = run.base_model(base_model, revision)
    repo = ModelRepo.init(folder, name=called, owner=owner, base=base)
    if as_json:
        console.show_json({"folder": repo.root, "repository": repo.state()})
    else:
        console.show_created(folder, repo.state())
    if (told := run.coming(base)) is not None:
        console.note(told)
    if outer is not None:
        console.note(
            f"it lies inside the git repository {outer}, which does not see into it: "
            "name it in that repository's .gitignore"
        )
