"""`bgit rollout`: the teacher's answers, each under its question."""

from __future__ import annotations

from typing import Any

import click

from bakery.cli.questions import row_options
from bakery.errors import ConfigError
from bakery.repo.look import questions as rows
from bakery.repo.model_repo import ModelRepo
from bakery.spelling import nearest
from bakery.ui import console
from bakery.ui.questions import Asked, show_answers

ENDS = ("stop", "length", "stop_text", "empty", "refused")
"""How answers end; an endpoint may have words of its own."""


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
    every = rows.answers(found.target)
    ends = dict.fromkeys([*ENDS, *(row.finish for row in every)])
    if finish is not None and finish not in ends:
        near = nearest(finish, ends)
        raise ConfigError(
            f"no answer ends with {finish!r}" + (f": did you mean {near[0]}?" if near else ""),
            hint=f"There is: {', '.join(ends)}.",
        )
    answers = [row for row in every if finish in (None, row.finish)]
    questions = {row.id: row for row in rows.questions(found.stim)}
    complete = rows.is_complete(found.target)
    show_answers(found.name, answers, questions, complete=complete, asked=Asked(**asked))
