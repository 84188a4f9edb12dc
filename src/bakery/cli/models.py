"""`bgit models`: the base and the models that were baked on it."""

from __future__ import annotations

import click

from bakery.repo.look.show import has_weights
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.models import Entry, show_models


@click.command()
@click.option("--all", "everywhere", is_flag=True, help="List those of every branch and tag.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), metavar="N", help="List only the last N."
)
@click.option("--count", is_flag=True, help="Print only how many were baked.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def models(everywhere: bool, limit: int | None, count: bool, as_json: bool) -> None:
    """List the models: the base, and what was baked on it, oldest first."""
    repo = ModelRepo.find()
    state = repo.state()
    bakes = list(repo.lineage().bakes.values()) if everywhere else repo.bakes()
    every = [(bake, model) for bake in bakes for model in reversed(bake.models)]
    if count:
        console.say(str(len(every)))
        return
    shown = every[-limit:] if limit else every
    entries = [
        Entry(bake, model, has_weights(repo, model), is_current=model == state.parent)
        for bake, model in shown
    ]
    former = repo.former()
    show_models(
        entries,
        state,
        former=former.bakes if former and not limit else (),
        left_out=len(every) - len(shown),
        as_json=as_json,
    )
