"""`bgit stim`: the questions."""

from __future__ import annotations

from typing import Any

import click

from bakery.cli.questions import row_options
from bakery.repo.look import questions
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.questions import Asked, show_stimuli


@click.command()
@row_options
def stim(name: str | None, **asked: Any) -> None:
    """Show the questions of the configured target, and the shares of its mix.

    After a bake, of the target that was baked; with --target, of any other.
    """
    found = questions.folders_of(ModelRepo.find(), name)
    if found.remark:
        console.note(found.remark)
    stimuli = questions.questions(found.stim)
    shares = questions.shares(found.stim, stimuli)
    complete = questions.is_complete(found.stim)
    show_stimuli(found.name, stimuli, shares, complete=complete, asked=Asked(**asked))
