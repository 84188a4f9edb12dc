"""`bgit ui`: the repository as a page in a browser, beside the API of `bgit serve`."""

from __future__ import annotations

import click

from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.serve import open_page, show_page


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    metavar="N",
    show_default=True,
    help="The port; 0 takes any that is free.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 1024),
    default=32,
    metavar="N",
    show_default=True,
    help="How many answers are decoded at once; more wait.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=None,
    help="Whether a browser opens the page; by default where there is a screen to open it on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print where it is as JSON.")
def ui(port: int, rows: int, opens: bool | None, as_json: bool) -> None:
    """Show the repository as a page in a browser: models, chat, comparisons and runs.

    It listens on this machine alone, and nothing that it shows asks another. The API of
    `bgit serve` is at the same address.
    """
    from bakery.server import running
    from bakery.web.site import Site

    repo = ModelRepo.find()
    with (
        reporter() as shown,
        running.opened(
            repo, port=port, rows=rows, more=lambda names: Site(names).more(), reporter=shown
        ) as server,
    ):
        show_page(server.serving, as_json=as_json)
        open_page(server.serving, asked=opens, as_json=as_json)
        server.run()
