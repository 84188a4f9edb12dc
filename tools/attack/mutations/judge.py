"""What a command's end means: refused in a sentence, accepted and right, or wrong."""

from __future__ import annotations

from collections.abc import Callable

from tools.attack.trial import Typed
from tools.attack.verdicts import Outcome, Verdict

REFUSALS = (1, 2, 3, 4, 5, 6)
"""Exit codes of what a person can act on."""


def judged(case: str, typed: Typed, wrong: Callable[[], str] | None = None) -> Outcome:
    """Return the verdict on one command; `wrong` says what is silently wrong, "" where nothing."""
    verdict, said = ended(typed)
    if verdict == "accepted" and wrong is not None and (problem := wrong()):
        return Outcome(case, "silently wrong", problem)
    return Outcome(case, verdict, said)


def ended(typed: Typed) -> tuple[Verdict, str]:
    """Return whether a command accepted, refused or broke, and what it said."""
    if typed.crash:
        return "traceback", typed.crash
    if "Traceback (most recent call last)" in typed.said:
        return "traceback", typed.said[-1500:]
    if typed.code == 0:
        return "accepted", typed.said[-500:]
    if typed.code not in REFUSALS:
        return "traceback", f"exit code {typed.code}: {typed.said[-500:]}"
    _, found, reason = typed.err.partition("error: ")
    if not found or not reason.strip():
        return "traceback", f"exit code {typed.code} without a reason: {typed.said[-500:]!r}"
    return "refused", reason.strip()[-800:]


def worst(case: str, outcomes: list[Outcome]) -> Outcome:
    """Return the first failure, else whether anything was refused, of several commands."""
    failed = next((outcome for outcome in outcomes if outcome.has_failed), None)
    if failed is not None:
        return failed
    refused = next((outcome for outcome in outcomes if outcome.verdict == "refused"), None)
    return refused or outcomes[-1] if outcomes else Outcome(case, "accepted")
