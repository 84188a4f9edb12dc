"""`bgit init`: a new model repository."""

from __future__ import annotations

from pathlib import Path

import click

from bakery import jobs
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console


@click.command()
@click.argument("name")
@click.option(
    "--base-model",
    metavar="REF",
    default="tiny",
    show_default=True,
    help="Weights to start from: `tiny` (shipped), a Hugging Face id, or a folder.",
)
@click.option("--owner", help="First part of every model's name; by default from git's user.name.")
def init(name: str, base_model: str, owner: str | None) -> None:
    """Make a model repository."""
    folder = Path(name)
    base = jobs.base_model(base_model)
    repo = ModelRepo.init(folder, name=folder.resolve().name, owner=owner, base=base)
    console.show_created(folder, repo.state())
