"""`bgit models`: the baked models of this branch."""

from __future__ import annotations

import click

from bakery.repo.model_repo import ModelRepo
from bakery.ui import lineage


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def models(as_json: bool) -> None:
    """List the baked models, oldest first."""
    repo = ModelRepo.find()
    lineage.show_models(repo.bakes(), repo.state(), as_json=as_json)
