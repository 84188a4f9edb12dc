"""`bgit models`: the base and the models that were baked on it."""

from __future__ import annotations

import click

from bakery.repo.look import models as look
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.models import show_models


@click.command()
@click.option("--all", "everywhere", is_flag=True, help="List those of every branch and tag.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), metavar="N", help="List only the last N."
)
@click.option("--count", is_flag=True, help="Print only how many were baked.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def models(everywhere: bool, limit: int | None, count: bool, as_json: bool) -> None:
    """List the models: the base, and what was baked on it, oldest first."""
    found = look.models(ModelRepo.find(), everywhere=everywhere, limit=None if count else limit)
    if count:
        console.say(str(len(found.models)))
    else:
        show_models(found, as_json=as_json)
