"""`bgit test`: does a model answer as tests.yml wants it?"""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import junit
from bakery.app import test as app
from bakery.cli.said import Place
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.test import show_results


@click.command()
@click.argument("model", required=False, default="parent")
@click.option(
    "--file",
    type=Place(),
    help="A file of tests as it lies there, instead of the tests.yml of HEAD.",
)
@click.option(
    "--junit",
    "junit_file",
    type=Place(),
    metavar="FILE",
    help="Write the results as JUnit XML, too; folders are made.",
)
@click.option(
    "--strict", is_flag=True, help="Exit with 1 for what the prompted model itself fails, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print every answer and check as JSON.")
@click.pass_context
def test(
    context: click.Context,
    model: str,
    file: Path | None,
    junit_file: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Ask a model the questions of tests.yml, and check its answers.

    MODEL is a name that `bgit chat` takes; without one it is the current model. The base, the
    prompted parent and the parent answer, too. Exits with 1 where the model fails a check that the
    prompted one passes.
    """
    place = junit.check(junit_file) if junit_file is not None else None
    repo = ModelRepo.here()
    with reporter() as notes:
        results = app.test(repo, model, file=file, reporter=notes)
    show_results(results, as_json=as_json)
    if place is not None:
        junit.write(place, results)
    context.exit(0 if results.passes(strict=strict) else 1)
