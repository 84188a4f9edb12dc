"""`bgit check`: is input.yml right, and what would a run of it make and take?"""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import check as app
from bakery.cli.said import Place
from bakery.repo.model_repo import ModelRepo
from bakery.ui.check import show_check
from bakery.ui.progress import reporter


@click.command()
@click.argument("file", required=False, type=Place())
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, problems too.")
@click.option(
    "--sample",
    is_flag=True,
    help="Load the parent, and show three answers of it without the prompt and with it.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of input.yml, for editors.")
@click.pass_context
def check(
    context: click.Context, file: Path | None, as_json: bool, sample: bool, schema: bool
) -> None:
    """Validate input.yml, and print what a run would make and take.

    FILE is read as if it were the input.yml of this repository. Exits with 1 if it cannot run.
    """
    if schema:
        from bakery.schema.json_schema import text

        print(text(), end="")
        return
    repo = ModelRepo.find()
    with reporter() as notes:
        found = app.check(repo, file, sample=notes if sample else None)
    if found.error is not None and not as_json:
        raise found.error
    show_check(found, as_json=as_json)
    context.exit(0 if found.error is None else 1)
