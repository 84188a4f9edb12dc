"""Looks at a model while it learns, without what that costs being counted."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.meter import peak_mb
from benchmarks.quality.cases import Case
from benchmarks.quality.curve import Point, is_due
from benchmarks.quality.exam import Exam

ENOUGH, JUDGED = 0.95, 0.8
"""The share of the gap at which a side may stop, and that at which its answers are judged."""


class StopLearning(Exception):  # noqa: N818  # nothing went wrong
    """The side has come far enough, or has used up its budget."""


class Watch:
    """The clock of one side, and what was seen of it."""

    def __init__(self, case: Case, exam: Exam, budget_s: float) -> None:
        self._case, self._exam, self._budget_s = case, exam, budget_s
        self._started, self._free, self._stepped = 0.0, 0.0, 0.0
        self.points: list[Point] = []
        self.judged: dict[int, float] = {}
        """Step → the share of fresh questions that were answered as the prompt wants it."""
        self.marks: dict[str, tuple[float, float]] = {}
        """What was done last → CPU seconds and the most memory, in MB, until then."""
        self.model: Any = None
        self.step = 0
        self.ended = "by itself"

    def begin(self) -> None:
        """Start to count."""
        self._started, self._free = _cpu_s(), 0.0

    @property
    def cpu_s(self) -> float:
        """CPU seconds of this process and those that it started, without the looking."""
        return _cpu_s() - self._started - self._free

    def mark(self, what: str) -> None:
        """Note how much time and memory it took until now."""
        self.marks[what] = round(self.cpu_s, 2), round(peak_mb())

    def look(self, step: int, model: Any) -> None:
        """Measure the model after a step where that is due; raise `StopLearning` at the end."""
        self.step, self.model = step, model
        self._stepped = self.cpu_s
        if not self._case.followed:
            return
        out_of_budget = self.cpu_s > self._budget_s
        is_new = not self.points or self.points[-1].step != step
        if is_new and (is_due(step) or out_of_budget):
            closed = self._measure(self._stepped)
            if closed >= JUDGED and not self.judged:
                self._judge()
            if closed >= ENOUGH:
                self.ended = f"{ENOUGH:.0%} closed"
                raise StopLearning
        if out_of_budget:
            self.ended = "out of budget"
            raise StopLearning

    def end(self, cpu_s: float) -> None:
        """Measure and judge what has become of the model, where that was not done yet.

        `cpu_s` is what the whole side took; where it was followed its last step counts instead.
        """
        if not self.points or self.points[-1].step != self.step:
            self._measure(self._stepped if self._case.followed else cpu_s)
        if self.step not in self.judged:
            self._judge()

    def _measure(self, at_s: float) -> float:
        with self._uncounted():
            point = Point(self.step, at_s, self._exam.divergence(self.model))
        self.points.append(point)
        return point.closed(self._exam.before)

    def _judge(self) -> None:
        case = self._case
        if not case.fresh:
            return
        with self._uncounted():
            answers = self._exam.answers(self.model, case.fresh, case.answer)
        right = sum(case.right(number, answer) for number, answer in enumerate(answers))
        self.judged[self.step] = right / len(answers)

    @contextmanager
    def _uncounted(self) -> Iterator[None]:
        began = _cpu_s()
        try:
            yield
        finally:
            self._free += _cpu_s() - began


def _cpu_s() -> float:
    parts = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)
