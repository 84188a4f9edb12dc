"""All axes of a suite, one after the other, over the sides of a bake."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bakery.evals.capability import capability
from bakery.evals.chain import Chain
from bakery.evals.cost import Spent, cost
from bakery.evals.drift import drift
from bakery.evals.fidelity import fidelity
from bakery.evals.figures import Axis, unmeasured
from bakery.evals.forgetting import Link, forgetting
from bakery.evals.ifeval.score import Instruction
from bakery.evals.lab import Lab
from bakery.evals.leakage import leakage
from bakery.evals.persistence import persistence
from bakery.evals.sides import Sides
from bakery.evals.steerability import steerability
from bakery.evals.subject import Subject
from bakery.evals.suites import Suite
from bakery.reporting import Reporter

Step = tuple[str, Callable[[], Axis]]


@dataclass(frozen=True, slots=True)
class Material:
    """What a model is measured on. The first subject is what the axes of one prompt are about."""

    subjects: tuple[Subject, ...]
    neutral: tuple[str, ...]
    neutral_on: str
    instructions: tuple[Instruction, ...]
    instructions_on: str
    canary: str
    links: tuple[Link, ...]
    """The bakes of its chain, oldest first, as far as they are known."""
    spent: Spent
    is_alone: bool = False
    """Whether it was surely baked on a base, so that there is no chain."""


def measure(
    sides: Sides, chain: Chain | None, material: Material, suite: Suite, *, reporter: Reporter
) -> tuple[Axis, ...]:
    """Return the axes of a suite in their order; `chain` None: nothing says what it was made of."""
    steps = list(_steps(Lab.of(sides, suite), chain, material))
    found: list[Axis] = []
    for done, (name, step) in enumerate(steps):
        reporter.progress("eval", done, len(steps), name)
        # How many answers an axis takes is not known before: they are counted, and it is one step.
        sides.local.watch = _Answers(partial(reporter.progress, "eval", done, len(steps)), name)
        began = time.process_time()
        axis = step()
        found.append(replace(axis, cpu_s=round(time.process_time() - began, 3)))
    reporter.progress("eval", len(steps), len(steps))
    return tuple(found)


@dataclass(slots=True)
class _Answers:
    """Counts the answers of an axis, batch after batch, and tells of them."""

    tell: Callable[[str], None]
    axis: str
    before: int = 0
    """Of earlier batches."""
    now: float = 0.0
    of: int = 0

    def __call__(self, done: float, of: int) -> None:
        """Take how much of a batch is there; no more of it than before is the next one."""
        if done <= self.now or of != self.of:
            self.before += self.of
        self.now, self.of = done, of
        self.tell(f"{self.axis}, {self.before + int(done)} answers")


def _steps(lab: Lab, chain: Chain | None, material: Material) -> Sequence[Step]:
    first = material.subjects[0].of_first_row
    own = lab.under(first.teacher, first.student)
    every: dict[str, list[Callable[[], Axis]]] = {
        "fidelity": [partial(fidelity, lab.under(*one.sides), one) for one in material.subjects],
        "drift": [partial(drift, own, material.neutral, material.neutral_on)],
        "persistence": [partial(persistence, own, first, material.neutral)],
        "steerability": [partial(steerability, own, first)],
        "leakage": [
            partial(leakage, lab.under(one.teacher, one.student), one, material.canary)
            for one in material.subjects
        ],
        "forgetting": [_forgetting(lab, chain, material)],
        "capability": [partial(capability, own, material.instructions, material.instructions_on)],
        "cost": [partial(cost, own, first, material.spent)],
    }
    return [(name, step) for name in lab.suite.axes for step in every[name]]


def _forgetting(lab: Lab, chain: Chain | None, material: Material) -> Callable[[], Axis]:
    if material.is_alone:
        why = "it was baked on a base: nothing could be forgotten"
        return lambda: unmeasured("forgetting", why)
    if chain is None:
        return lambda: unmeasured("forgetting", "nothing says which bakes it was made of")
    return partial(forgetting, lab, chain, material.links)
