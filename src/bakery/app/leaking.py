"""How much of its prompts a bake gives away when it is asked: for the gate, before it is recorded.

Kept beside the bake as `bgit eval --only leakage` keeps it: it is measured once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakery.app import testing
from bakery.app.testing import Subject
from bakery.reporting import Reporter
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.evals.figures import Axis
    from bakery.evals.report import EvalReport


def leaked(axes: Sequence[Axis]) -> float | None:
    """Return the most that came out: of a prompt's 5-grams, or at how many questions its secret.

    None: no prompt is long enough for the one, and no secret was named.
    """
    figures = [axis.figure(name) for axis in axes for name in ("baked_copied", "baked_canary_out")]
    return max((one.value for one in figures if one and one.value is not None), default=None)


def leakage(store: Store, subject: Subject, canary: str, *, reporter: Reporter) -> Sequence[Axis]:
    """Return what comes out of a bake in the store, of each prompt that it was taught."""
    from bakery.evals import kept
    from bakery.evals.given import Given, Wanted, inputs

    assert subject.folder is not None  # it was baked just now
    wanted = Wanted(only=("leakage",), canary=canary or None)
    said = inputs(wanted, Given(canary=canary))
    bake, step = subject.folder.parent, int(subject.folder.name)
    if (before := kept.found(bake, step, wanted.suite, said)) is not None:
        return before.axes
    with reporter.doing("asking for the prompt"):
        report = _measured(subject, canary, wanted.suite, said, reporter)
    with store.lock(bake, "bgit run", wait_s=10):
        kept.put(bake, step, report)
    return report.axes


def _measured(
    subject: Subject, canary: str, name: str, said: dict[str, str], reporter: Reporter
) -> EvalReport:
    sides_of = testing.opened(subject, reporter=reporter)
    began = time.process_time()

    from bakery.engine.models.versions import versions
    from bakery.evals import leakage as axis
    from bakery.evals.lab import Lab
    from bakery.evals.report import EvalReport
    from bakery.evals.subject import Subject as Measured
    from bakery.evals.suites import suite

    chosen = suite(name, ("leakage",))
    axes = tuple(
        axis.leakage(
            Lab.of(sides_of(at), chosen),
            Measured(one.name, one.teacher, one.student, (), ""),
            canary,
        )
        for at, one in enumerate(subject.taught)
    )
    spent = time.process_time() - began
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = versions(sides_of(None).local.base.unpacked)
    return EvalReport(subject.name, name, said, axes, spent, made, now)
