"""`bgit tree`: which model was baked on which."""

from __future__ import annotations

import click

from bakery.repo.model_repo import ModelRepo
from bakery.ui import lineage


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def tree(as_json: bool) -> None:
    """Show which model was baked on which, over all branches."""
    lineage.show_tree(ModelRepo.find().lineage(), as_json=as_json)
