"""Where a run stops instead of going on unasked; `--allow` waives it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.errors import ConfigError, GateError
from bakery.records import questions_of
from bakery.spelling import nearest

if TYPE_CHECKING:
    from bakery.repo.plan.planned import PlannedTarget
    from bakery.stages.look import Look

QUESTIONS, TEACHER, LIMITS, GATE = "questions", "teacher", "limits", "gate"
WAIVERS = (QUESTIONS, TEACHER, LIMITS, GATE)
"""What `bgit run --allow` names."""

MOST_QUESTIONS = 100_000
"""Of a target: a slip of the finger asks for more, and a day is too late to see it."""

MOST_ANSWERS = 1_000_000
"""Of a target."""


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


def beyond(target: PlannedTarget) -> str:
    """Return what a target asks for more of than is sensible, as a sentence; "": nothing."""
    wanted = [questions_of(generator) for generator in target.stim.generators]
    questions = sum(count for count in wanted if count)
    each = target.rollout.sampling.num_traj_per_stimulus
    told = (
        (questions, MOST_QUESTIONS, "questions"),
        (max(questions, 1) * each, MOST_ANSWERS, "answers"),
    )
    for count, most, what in told:
        if count > most:
            return f"{target.base_name} asks for {count:,} {what}: the limit is {most:,}"
    return ""


def check_limits(targets: Sequence[PlannedTarget], allow: Collection[str]) -> None:
    """Refuse what would take for ever, unless that is allowed."""
    found = [] if LIMITS in allow else [said for target in targets if (said := beyond(target))]
    if found:
        raise GateError(
            "\n".join(found),
            hint="Lower `numq` or `num_traj_per_stimulus`, or go on anyway: "
            "`bgit run --allow limits`.",
        )


def waived(asked: Mapping[str, Any] | None, target_dir: Path) -> list[str]:
    """Return what somebody must have allowed, or a target's answers would not be there."""
    from bakery.stages import look

    seen = look.read(target_dir)
    found = {QUESTIONS: bool(poor(asked)), TEACHER: seen is not None and seen.obeys_in_nothing}
    return [name for name, is_so in found.items() if is_so]
