"""What is kept of a bake of rows, so that it can be measured later: its prompts, and questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakery.data.rows import Row
from bakery.distil import answers
from bakery.distil.answers import ROWS
from bakery.distil.settings import narrowed
from bakery.distil.settings.parse import Settings
from bakery.identity import canonical
from bakery.records import write_atomic
from bakery.stages.comparing import Question
from bakery.store.output_dir import QUESTIONS, RecordedQuestion

MOST_PROMPTS, MOST_QUESTIONS = 8, 256
"""Of rows with prompts of their own, those that most rows have; and of each so many questions."""


def recorded(
    out: Path, settings: Settings, rows: Sequence[Row], held_out: Sequence[Row]
) -> dict[str, Any]:
    """Write the questions of every prompt; return what results.json says of the bake."""
    context = narrowed.views(settings.context)
    of: dict[str, list[Question]] = {}
    if context.prefix or any(row.prefix or row.system for row in rows):
        learnt, held = answers.asked_by(rows, held_out, context, is_written=False)
        for one in [*held, *learnt]:
            own = canonical([one.teacher.as_data(), one.student.as_data()])
            of.setdefault(own, []).append(one)
    groups = sorted(of.values(), key=len, reverse=True)[:MOST_PROMPTS]
    names = [ROWS] if len(groups) == 1 else [f"{ROWS}-{at + 1}" for at in range(len(groups))]
    lines = [
        json.dumps(asdict(RecordedQuestion(name, one.messages, one.is_held_out)))
        for name, group in zip(names, groups, strict=True)
        for one in group[:MOST_QUESTIONS]
    ]
    write_atomic(out / QUESTIONS, "".join(f"{line}\n" for line in lines))
    return {
        "targets": [
            {
                "name": name,
                "teacher": group[0].teacher.as_data(),
                "student": group[0].student.as_data(),
            }
            for name, group in zip(names, groups, strict=True)
        ],
        "dtype": settings.data.torch_dtype,
        "template_kwargs": dict(settings.training.template_kwargs),
    }
