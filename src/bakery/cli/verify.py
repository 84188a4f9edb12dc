"""`bgit verify`: is what a server answers as the bake that it says it serves?"""

from __future__ import annotations

import click

from bakery.app import verify as app
from bakery.cli.said import SAID
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.verify import show_verified


@click.command()
@click.argument("url", metavar="URL")
@click.argument("model", default="parent", metavar="[MODEL]")
@click.option(
    "--as",
    "served",
    type=SAID,
    metavar="NAME",
    help="What the model is called there; as here by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def verify(context: click.Context, url: str, model: str, served: str | None, as_json: bool) -> None:
    """Ask a server the probes of a bake, and say whether it is that bake.

    URL is that of any OpenAI-compatible server; MODEL a bake, else the current model. Exits 1
    where it is not the bake. A key is read from OPENAI_API_KEY.
    """
    repo = ModelRepo.find()
    with reporter() as shown:
        found = app.verify(repo, url, model, served=served, reporter=shown)
    show_verified(found, as_json=as_json)
    context.exit(0 if found.what == "bake" else 1)
