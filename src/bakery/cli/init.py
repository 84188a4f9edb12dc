"""`bgit init`: a new model repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from bakery.app import drafts, run
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.repo import begin
from bakery.repo.model_repo import ModelRepo
from bakery.schema.model_names import EMBEDDED
from bakery.ui import console


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="NAME", required=False)
@click.option(
    "--prompt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write an input.yml that bakes this prompt, a .md or .txt file.",
)
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --prompt: ask these, one a line in a .txt, or rows of .jsonl, .csv, … Else the base "
    "model writes 100.",
)
@click.option(
    "--template",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Start from one of the gallery; without NAME, list it.",
)
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
    if template is not None and (prompt or questions):
        raise ConfigError("--template has its own prompt and questions: give it alone")
    if questions is not None and prompt is None:
        raise ConfigError("--questions goes with --prompt")
    draft = begin.EXAMPLE if template is None else drafts.of_template(template)
    if folder is None:
        raise click.UsageError("Missing argument 'NAME'.", click.get_current_context())
    called, outer = name or folder.resolve().name, begin.around(folder)
    begin.check(folder, name=called, owner=owner)
    if prompt is not None:
        draft = drafts.of_prompt(prompt, questions, folder=folder, name=called)
    begin.check(folder, name=called, owner=owner, draft=draft)  # before a base model is fetched
    base = run.base_model(base_model, revision)
    repo = ModelRepo.init(folder, name=called, owner=owner, base=base, draft=draft)
    if as_json:
        console.show_json({"folder": repo.root, "repository": repo.state(), "draft": list(draft)})
    else:
        console.show_created(folder, repo.state(), list(draft))
    for told in _notes(base, template, outer):
        console.note(told)


def _notes(base: BaseModelId, template: str | None, outer: Path | None) -> Iterator[str]:
    if (told := run.coming(base)) is not None:
        yield told
    if template is not None and base.name in EMBEDDED and template not in drafts.FOR_TINY:
        yield (
            f"{base.name} does not obey the prompt of this template: `--base-model` takes an "
            f"instruct model ({drafts.ABOUT} says of what size)"
        )
    if outer is not None:
        yield (
            f"it lies inside the git repository {outer}, which does not see into it: "
            "name it in that repository's .gitignore"
        )
