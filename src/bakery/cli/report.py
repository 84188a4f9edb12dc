"""`bgit report`: one file about a model, to look at and to send on."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import report as app
from bakery.cli.said import SAID, Place
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.console import note, say, show_json
from bakery.ui.report import files


@click.command()
@click.argument("model", default="parent", metavar="[MODEL]")
@click.option(
    "--out",
    "-o",
    type=SAID,
    metavar="FILE",
    help="Where to write, - for stdout; by default here, under the bake's name.",
)
@click.option(
    "--tests",
    metavar="FILE",
    type=Place(dir_okay=False),
    help="Show these results, as `bgit test --json` prints them.",
)
@click.option("--force", is_flag=True, help="Replace a file that is no report of that model.")
@click.option("--json", "as_json", is_flag=True, help="Print what the page says as JSON.")
def report(model: str, out: str | None, tests: Path | None, force: bool, as_json: bool) -> None:
    """Write one HTML file that shows whether a model holds, and how it was made.

    MODEL is any name that `bgit models` shows, else the current one. The file needs no network
    and no program but a browser.
    """
    if as_json and out is not None:
        raise ConfigError("--json prints, and --out writes a page: choose one of them")
    repo = ModelRepo.find()
    found = app.report(repo, model, tests=tests)
    if told := app.untested(repo, found):
        note(told)
    if as_json:
        show_json(found.as_data())
    elif out == "-":
        files.print_page(found)
    else:
        say(f"wrote {files.write(found, Path(out) if out else None, force=force)}")
