"""`bgit target`: the targets of earlier bakes, which a later bake may name in its mix."""

from __future__ import annotations

import click

from bakery.errors import ConfigError
from bakery.repo.look import target as targets
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.target import show_target, show_targets

LISTING = ("ls", "list")


@click.command()
@click.argument("name", required=False, metavar="[NAME | ls]")
@click.option("--all", "everywhere", is_flag=True, help="List those of every branch and tag.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1), metavar="N", help="List only the last N."
)
@click.option("--count", is_flag=True, help="Print only how many there are.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def target(
    name: str | None, everywhere: bool, limit: int | None, count: bool, as_json: bool
) -> None:
    """List the targets of this branch, or show one in full.

    NAME is a full name, what input.yml called it, or the first digits of its id.
    """
    if name is not None and name not in LISTING and (everywhere or limit or count):
        raise ConfigError("--all, --limit and --count are for the list: leave NAME out")
    repo = ModelRepo.find()
    if name is not None and name not in LISTING:
        show_target(targets.target(repo, name), as_json=as_json)
        return
    listing = targets.listed(repo, everywhere=everywhere, limit=None if count else limit)
    if listing.problem:
        console.note(f"left out what input.yml configures: {listing.problem}")
    if count:
        console.say(str(len(listing.targets)))
    else:
        show_targets(listing, as_json=as_json)
