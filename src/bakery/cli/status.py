"""`bgit status`: where the repository stands."""

from __future__ import annotations

import click

from bakery.repo import overview
from bakery.repo.model_repo import ModelRepo
from bakery.ui.overview import show_status


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(as_json: bool) -> None:
    """Show where the repository stands and what `run` would do."""
    show_status(overview.status(ModelRepo.find()), as_json=as_json)
