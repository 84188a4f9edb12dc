"""`bgit tree`: which model was baked on which."""

from __future__ import annotations

import click

from bakery.repo.model_repo import ModelRepo
from bakery.ui.tree import show_tree


@click.command()
@click.option("--branch", metavar="NAME", help="Only what this branch or tag has recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def tree(branch: str | None, as_json: bool) -> None:
    """Show which model was baked on which, over all branches and tags.

    `*` is the current model, [branch] and <tag> stand at theirs, +N is how many more models a bake
    gave.
    """
    show_tree(ModelRepo.find().lineage(branch=branch), as_json=as_json)
