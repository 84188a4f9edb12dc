"""Where a run stops instead of going on unasked; `--allow` waives it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.errors import ConfigError, GateError
from bakery.spelling import nearest

if TYPE_CHECKING:
    from bakery.stages.look import Look

QUESTIONS, TEACHER = "questions", "teacher"
WAIVERS = (QUESTIONS, TEACHER)
"""What `bgit run --allow` names."""


def poor(done: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the writers of a complete set of questions that gave too few usable replies."""
    if done is None or not done.get("judged"):
        return []
    from bakery.stages import usable  # here: a set that no model wrote needs no judge

    return usable.poor(done["judged"])


def check_names(allow: Collection[str]) -> None:
    """Refuse to waive what nobody stops at."""
    if unknown := [name for name in allow if name not in WAIVERS]:
        guess = nearest(str(unknown[0]), WAIVERS)
        raise ConfigError(
            f"nothing stops at {unknown[0]!r}" + (f": did you mean {guess[0]!r}?" if guess else ""),
            hint=f"What can be waived: {', '.join(WAIVERS)}.",
        )


def check_questions(done: Mapping[str, Any] | None, allow: Collection[str]) -> None:
    """Refuse to have a poor set of questions answered, unless that is allowed."""
    found = [] if QUESTIONS in allow else poor(done)
    if found:
        from bakery.stages import usable

        raise usable.refusal(found)


def check_teacher(seen: Look, allow: Collection[str]) -> None:
    """Refuse to bake a prompt that does not move the parent, or only makes it fall apart."""
    if TEACHER not in allow and seen.obeys_in_nothing:
        raise GateError(
            f"{seen.parent} does not obey the prompt of {seen.target}: {'; '.join(seen.warnings)}",
            hint="`bgit check --sample` shows its answers. Change the prompt, bake on another "
            "model, or go on anyway: `bgit run --allow teacher`.",
        )


def waived(asked: Mapping[str, Any] | None, target_dir: Path) -> list[str]:
    """Return what somebody must have allowed, or a target's answers would not be there."""
    from bakery.stages import look

    seen = look.read(target_dir)
    found = {QUESTIONS: bool(poor(asked)), TEACHER: seen is not None and seen.obeys_in_nothing}
    return [name for name, is_so in found.items() if is_so]
