"""`bgit stim`: the questions."""

from __future__ import annotations

from typing import Any

import click

from bakery.cli.questions import row_options
from bakery.repo.look import questions
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.questions import Form, show_stimuli


@click.command()
@row_options
def stim(name: str | None, limit: int | None, offset: int, **form: Any) -> None:
    """Show the questions of the configured target, and the shares of its mix.

    After a bake, of the target that was baked; with --target, of any other.
    """
    found = questions.stim(ModelRepo.find(), name, limit=limit, offset=offset)
    if found.remark:
        console.note(found.remark)
    show_stimuli(found, Form(**form))
