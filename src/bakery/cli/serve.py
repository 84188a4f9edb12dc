"""`bgit serve`: the models of the repository behind OpenAI's API."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.cli.said import Place
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.serve import show_serving


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="Where to listen; beyond this machine only with --token-file.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    metavar="N",
    show_default=True,
    help="The port; 0 takes any that is free.",
)
@click.option(
    "--token-file",
    type=Place(dir_okay=False),
    metavar="FILE",
    help="Answer only who has one of the tokens in this file, one a line.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 1024),
    default=32,
    metavar="N",
    show_default=True,
    help="How many answers are decoded at once; more wait.",
)
@click.option("--json", "as_json", is_flag=True, help="Print where it is as JSON.")
def serve(host: str, port: int, token_file: Path | None, rows: int, as_json: bool) -> None:
    """Answer as every model of the repository, by OpenAI's API.

    A request's `model` is any name that `bgit chat` takes, but for folders: a bake's, a branch,
    `base`, `parent`, with `:0.5` at half its strength, with `@prompted` its parent behind the
    prompt. New bakes are there at once.
    """
    from bakery.server import guard, running

    repo = ModelRepo.find()
    tokens = guard.tokens(token_file) if token_file is not None else ()
    with (
        reporter() as shown,
        running.opened(
            repo, host=host, port=port, tokens=tokens, rows=rows, reporter=shown
        ) as server,
    ):
        show_serving(server.serving, as_json=as_json)
        server.run()
