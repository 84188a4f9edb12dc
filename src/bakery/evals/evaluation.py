"""All axes of a suite, one after the other, over the sides of a bake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bakery.evals.fidelity import fidelity
from bakery.evals.figures import Axis
from bakery.evals.lab import Lab
from bakery.evals.sides import Sides
from bakery.evals.subject import Subject
from bakery.evals.suites import Suite
from bakery.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Material:
    """What a model is measured on. The first subject is what most axes are about."""

    subjects: tuple[Subject, ...]


def measure(
    sides: Sides, material: Material, suite: Suite, *, reporter: Reporter
) -> tuple[Axis, ...]:
    """Return the axes of a suite in their order."""
    lab = Lab.of(sides, suite)
    steps = list(_steps(lab, material))
    found: list[Axis] = []
    for done, (name, step) in enumerate(steps):
        reporter.progress("eval", done, len(steps), name)
        found.append(step())
    reporter.progress("eval", len(steps), len(steps))
    return tuple(found)


def _steps(lab: Lab, material: Material) -> Sequence[tuple[str, Callable[[], Axis]]]:
    found: list[tuple[str, Callable[[], Axis]]] = []
    for name in lab.suite.axes:
        if name == "fidelity":
            for subject in material.subjects:
                own = lab.under(subject.teacher, subject.student)
                found.append((name, partial(fidelity, own, subject)))
    return found
