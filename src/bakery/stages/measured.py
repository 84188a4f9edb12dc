"""What a bake comes to on the questions it never trained on: figures by question, and its card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from peft import PeftModel

from bakery.engine.examples import Features
from bakery.engine.fidelity import Fidelity, fidelity, together
from bakery.engine.readout import Readout
from bakery.engine.views import Pair
from bakery.stages.mix import Mix, of_target, question_of

Grade = Callable[[Fidelity | None, Fidelity | None, int, float], dict[str, Any]]

Measured = Mapping[str, Fidelity]
"""How near each held-out question's answers are to the teacher's, by the question's key."""

FURTHEST = 3
"""How many questions a card names."""
MOVED = 0.1
"""Nats per token from which a prompt changes an answer enough to ask whether that was learnt."""


def measure(student: PeftModel, readout: Readout, record: Features, mixture: Mix) -> Measured:
    """Score the model as it stands on every held-out question."""
    student.eval()
    found = fidelity(student, readout, record, mixture.held_out)
    parts: dict[str, list[Fidelity]] = {}
    for pair, part in zip(mixture.held_out, found, strict=True):
        parts.setdefault(question_of(pair), []).append(part)
    return {key: whole for key, own in parts.items() if (whole := together(own)) is not None}


def card(grade: Grade, before: Measured, after: Measured, mixture: Mix) -> dict[str, Any]:
    """Return the card of the bake, with the questions it is furthest from the teacher on;

    where several targets are mixed, with the card of each.
    """
    whole = _graded(grade, before, after, mixture.train)
    if after:
        whole["furthest"] = _furthest(before, after, mixture.questions)
    if len(mixture.targets) > 1:
        whole["targets"] = {
            target["name"]: _graded(
                grade,
                _own(before, target["id"]),
                _own(after, target["id"]),
                of_target(mixture.train, target["id"]),
            )
            | ({"anchor": True} if "anchor" in target else {})
            for target in mixture.targets
        }
    return whole


def notes(before: Measured, after: Measured, mixture: Mix) -> Iterator[str]:
    """Yield what a mean hides: questions on which the prompt was hardly learnt."""
    left = [key for key in after if before[key].kl >= MOVED and after[key].kl > before[key].kl / 2]
    if left:
        worst = max(left, key=lambda key: after[key].kl)
        asked = mixture.questions[worst]
        yield (
            f"{len(left)} of {len(after)} held-out questions are not half learnt, the furthest "
            f"{asked!r:.60} ({after[worst].kl:.2g} of {before[worst].kl:.2g} nats per token): "
            "more questions like it, more answers or more epochs teach it"
        )


def _graded(
    grade: Grade, before: Measured, after: Measured, trained: Sequence[Pair]
) -> dict[str, Any]:
    both = together(list(before.values())), together(list(after.values()))
    saved = fmean(len(pair.teacher.ids) - len(pair.student.ids) for pair in trained)
    return grade(*both, len(after), saved)


def _own(measured: Measured, target_id: str) -> Measured:
    """Return what was measured on one target's questions."""
    return {key: part for key, part in measured.items() if key.startswith(f"{target_id}/")}


def _furthest(
    before: Measured, after: Measured, questions: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the questions whose answers are furthest from the teacher's, the furthest first."""
    keys = sorted(after, key=lambda key: (-after[key].kl, key))[:FURTHEST]
    return [
        {"question": questions[key], "kl_before": before[key].kl, "kl_after": after[key].kl}
        for key in keys
    ]
