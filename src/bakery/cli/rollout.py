"""`bgit rollout`: the teacher's answers, each under its question."""

from __future__ import annotations

from typing import Any

import click

from bakery.cli.questions import row_options
from bakery.repo.look import questions as rows
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.questions import Asked, show_answers


@click.command()
@row_options
@click.option(
    "--finish",
    metavar="HOW",
    help="Only answers that ended so: stop, length (cut at max_tokens), stop_text, empty, refused.",
)
def rollout(name: str | None, finish: str | None, **asked: Any) -> None:
    """Show the teacher's answers of the configured target, and which were cut.

    After a bake, of the target that was baked; with --target, of any other.
    """
    found = rows.folders_of(ModelRepo.find(), name)
    if found.remark:
        console.note(found.remark)
    answers = [row for row in rows.answers(found.target) if finish in (None, row.finish)]
    questions = {row.id: row for row in rows.questions(found.stim)}
    complete = rows.is_complete(found.target)
    show_answers(found.name, answers, questions, complete=complete, asked=Asked(**asked))
