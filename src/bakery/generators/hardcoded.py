"""`type: hardcoded`: the questions are written in input.yml."""

from __future__ import annotations

from collections.abc import Iterator

from bakery.generators.base import Round, Task, take, with_values
from bakery.records import asked_text

WRITER = "input.yml"


def write(task: Task) -> Iterator[Round]:
    """Yield the questions, as written; those of rows filled."""
    written = (
        with_values(asked_text(one), one, task.variables) for one in task.generator["questions"]
    )
    yield take(task, written, None, writer=WRITER)
