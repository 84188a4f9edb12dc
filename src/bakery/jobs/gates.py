"""What a run does not go on with unasked: it stops there, and `--allow` waives it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

QUESTIONS = "questions"
WAIVERS = (QUESTIONS,)
"""What `bgit run --allow` names."""


def poor(done: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the writers of a whole set of questions that too few usable replies are of."""
    if done is None or not done.get("judged"):
        return []
    from bakery.stages import usable  # here: a set that no model wrote needs no judge

    return usable.poor(done["judged"])


def check_questions(done: Mapping[str, Any] | None, allow: Collection[str]) -> None:
    """Refuse to have a poor set of questions answered, unless that is allowed."""
    found = [] if QUESTIONS in allow else poor(done)
    if found:
        from bakery.stages import usable

        raise usable.refusal(found)
