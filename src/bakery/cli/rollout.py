"""`bgit rollout`: the teacher's answers, each under its question."""

from __future__ import annotations

from typing import Any

import click

from bakery.cli.questions import row_options
from bakery.repo.look import questions
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.questions import Form, show_answers


@click.command()
@row_options
@click.option(
    "--finish",
    metavar="HOW",
    help="Only answers that ended so: stop, length (cut at max_tokens), stop_text, empty, refused.",
)
def rollout(
    name: str | None, finish: str | None, limit: int | None, offset: int, **form: Any
) -> None:
    """Show the teacher's answers of the configured target, and which were cut.

    After a bake, of the target that was baked; with --target, of any other.
    """
    found = questions.rollout(ModelRepo.find(), name, finish=finish, limit=limit, offset=offset)
    if found.remark:
        console.note(found.remark)
    show_answers(found, Form(**form))
