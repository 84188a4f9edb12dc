"""`bgit init`: a new model repository."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import drafts
from bakery.app import init as app
from bakery.cli.said import Place
from bakery.ui import console


@click.command()
@click.argument("folder", type=Place(), metavar="NAME", required=False)
@click.option(
    "--prompt",
    type=Place(),
    metavar="FILE",
    help="Write an input.yml that bakes this prompt, a .md or .txt file.",
)
@click.option(
    "--questions",
    type=Place(),
    metavar="FILE",
    help="With --prompt: ask these, one a line in a .txt, or rows of .jsonl, .csv, … Else the base "
    "model writes 100.",
)
@click.option(
    "--template",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Start from one of the gallery; without NAME, list them.",
)
@click.option(
    "--base-model",
    metavar="REF",
    default="tiny",
    show_default=True,
    help="Weights to start from: `tiny` (shipped), a Hugging Face id (ID@REVISION), a folder, or "
    "a .gguf file.",
)
@click.option("--revision", default="", metavar="REV", help="Revision of a base model on the hub.")
@click.option("--owner", help="First part of every model's name; by default from git's user.name.")
@click.option("--name", help="Second part of every model's name; by default that of the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def init(
    folder: Path | None,
    prompt: Path | None,
    questions: Path | None,
    template: str | None,
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
    if folder is None:
        if template == "":
            console.show_templates(drafts.templates())
            return
        if template is not None:
            drafts.of_template(template)
        raise click.UsageError("Missing argument 'NAME'.", click.get_current_context())
    made = app.init(
        folder, base_model=base_model, revision=revision, owner=owner, name=name,
        prompt=prompt, questions=questions, template=template,
    )  # fmt: skip
    if as_json:
        console.show_json(made.as_data())
    else:
        console.show_created(made)
    for note in made.notes:
        console.note(note)
