"""How commands get weights that they need and this clone lacks: from its remote, announced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bakery.records import ModelRef
    from bakery.repo.model_repo import ModelRepo


def allow() -> None:
    """Let every command of this process fetch what it needs."""
    from bakery.app import stored  # here: most commands need no weights

    stored.FETCHING.bring = _bring


def forbid(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """Fetch nothing that was not asked for, in this process and those that it starts."""
    from bakery.app import weights

    if asked:
        os.environ[weights.OFFLINE] = "1"


def _bring(repo: ModelRepo, model: ModelRef) -> bool:
    from bakery.app import pull
    from bakery.ui.progress import any_reporter

    with any_reporter() as shown:
        return pull.bring(repo, model, shown)
