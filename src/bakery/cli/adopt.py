"""`bgit adopt`: another branch's model becomes the one of this branch."""

from __future__ import annotations

import click

from bakery.app import adopt as app
from bakery.app import from_hub
from bakery.errors import ConfigError
from bakery.remotes import addresses
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.tree import show_adopted


@click.command()
@click.argument("model", metavar="BRANCH|MODEL|base|hf://…")
@click.option(
    "--base-model",
    metavar="NAME|PATH",
    help="What to go on from in a repository that another tool made.",
)
def adopt(model: str, base_model: str | None) -> None:
    """Make another branch's model, or any other, the current one.

    One commit on this branch names the model, and records what it was baked on. A branch (also
    `origin/x`), a tag or a commit stands for its model; `base` starts anew from the base model,
    and all bakes stay recorded. hf://OWNER/NAME[@REVISION] fetches an adapter of this base from
    the Hugging Face Hub, checks it, and goes on from it.
    """
    if addresses.is_on_hub(model):
        if base_model is not None:
            raise ConfigError("--base-model is not for an adapter of the Hub: it names its own")
        addresses.on_hub(model)
        repo = from_hub.repository(model)
        with reporter() as shown:
            show_adopted(from_hub.adopt(repo, model, reporter=shown))
        return
    with reporter() as shown:
        found = app.adopt(ModelRepo.find(), model, base_model=base_model, reporter=shown)
    show_adopted(found)
