"""A bake into another base model: what is refused before anything is spent, and who teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakery.app.opening import Models
from bakery.errors import ModelError
from bakery.identity import BakeRequest, BaseModelId
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from bakery.engine.models.models import BaseModel
    from bakery.stages.bake import Other

BY_TEXT = (
    "A student needs the same tokenizer and chat template. Another model can learn by text: have "
    "the prompted model answer (`bgit run stim rollout`, `bgit rollout --json`), and fine-tune it "
    "on these questions and answers with any trainer."
)


def check(request: BakeRequest, models: Models, reporter: Reporter) -> None:
    """Refuse a student that has other tokens than its teacher; say what a person should know."""
    if request.teacher is None:
        return
    from bakery.engine.bases import bases
    from bakery.engine.models import models as engine
    from bakery.engine.text.same_tokens import difference

    student, teacher = request.base, request.teacher.base
    bases.check(student)
    chat = engine.load_chat(student, reporter=reporter)
    if found := difference(chat, models.chat()):
        raise ModelError(
            f"{student.name} cannot learn from {teacher.name}: their tokens differ: {found}",
            hint=BY_TEXT,
        )
    reporter.note(
        f"{student.name} learns from {request.teacher.model or teacher.name}: a model on a base of "
        "its own, recorded beside the current one"
    )
    sizes = [_size(one) for one in (student, teacher)]
    if None not in sizes and sizes[0] > sizes[1]:  # type: ignore[operator]  # neither is None
        reporter.note(
            f"the student is larger than its teacher: {sizes[0]:,} weights, and {sizes[1]:,}"
        )


def opened(
    request: BakeRequest, models: Models, folder: Path | None, *, attention: str | None
) -> tuple[BaseModel, Other]:
    """Load the student beside its teacher, whose adapter lies in a folder (None: it is bare)."""
    from bakery.stages.bake import Other

    teacher = models.teacher()
    base = models.student(request.base, dtype=request.training.dtype, attention=attention)
    return base, Other(teacher.base, teacher.model, folder)


def _size(base: BaseModelId) -> int | None:
    from bakery.engine.bases import machine

    shape = machine.shape_of(base)
    return shape.parameters if shape else None
