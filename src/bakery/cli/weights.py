"""`bgit weights remote`: where this clone's weights travel to and from."""

from __future__ import annotations

import click

from bakery.app import weights as app
from bakery.cli.said import SAID
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.weights import show_remote


@click.command()
@click.argument("what", type=click.Choice(["remote"]), default="remote", metavar="[remote]")
@click.argument("url", required=False, type=SAID)
@click.option("--remove", is_flag=True, help="Forget the remote, and propose none any more.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def weights(what: str, url: str | None, remove: bool, as_json: bool) -> None:
    """Show, set or remove the remote of weights.

    URL is file:///folder, s3://bucket/prefix, gs://bucket/prefix or hf://owner/name; without it,
    what is set is shown. It is proposed in .bread, in one commit, and this clone uses it from now
    on; any other clone does once the same line is typed there. Keys are never in it.
    """
    if url is not None and remove:
        raise ConfigError("--remove forgets the remote: it takes no URL")
    repo = ModelRepo.find()
    with reporter() as shown:
        if remove:
            found = app.remove(repo, shown)
        else:
            found = app.remote(repo) if url is None else app.set_remote(repo, url, shown)
    show_remote(found, as_json=as_json)
