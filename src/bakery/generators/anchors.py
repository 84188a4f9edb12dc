"""`type: anchors`: general questions that come with bakery. A plan asks them, never input.yml."""

from __future__ import annotations

from collections.abc import Iterator

from bakery.generators.base import Round, Task, take

WRITER = "bakery"


def write(task: Task) -> Iterator[Round]:
    """Yield the questions that the plan names."""
    yield take(task, task.generator["questions"], None, writer=WRITER)
