"""How far a job is, written to its file while it works, and its end.

Whatever else it says goes to its log.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bakery.reporting import Pace, Reporter
from bakery.store import job
from bakery.store.job import Job, Progress
from bakery.store.store import Store

EVERY_S = 1.0
"""How often a job's file is written while it works."""


class Recorder:
    """Tells a job's file, at most every second, and its log what the job does."""

    def __init__(self, store: Store, mine: Job, shown: Reporter) -> None:
        self.job = mine
        self._store, self._shown = store, shown
        self._written = 0.0
        self._step, self._pace, self._detail = "", Pace(0.0, 0, 0, 0), ""

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Write how far the current step is."""
        self._shown.progress(label, done, total, detail)
        if label != self._step or done < self._pace.done:
            self._step, self._pace = label, Pace(time.monotonic(), done, done, total)
        self._pace.done, self._pace.total, self._pace.part = done, total, 0.0
        self._detail = detail
        self._look(is_over=done >= total)

    def partly(self, done: float, of: int) -> None:
        """Write how far the units under way are."""
        self._shown.partly(done, of)
        if self._step:
            self._pace.part = min(done, float(self._pace.total - self._pace.done))
            self._look()

    @contextmanager
    def doing(self, label: str) -> Iterator[None]:
        """Have the log say it: the job's file holds what can be counted."""
        step, self._step = self._step, ""
        with self._shown.doing(label):
            yield
        self._step = step

    def _look(self, *, is_over: bool = False) -> None:
        """Take what is known of the current step, and write it if it is time to."""
        pace, now = self._pace, time.monotonic()
        if now - self._written < EVERY_S and not is_over:
            return
        rate, left = pace.rate(now), pace.left_s(now)
        shown = Progress(self._step, pace.done, pace.total, rate, left, self._detail)
        self.job = replace(self.job, progress=shown)
        self._write()

    def note(self, text: str) -> None:
        """Keep a note with the job."""
        self._shown.note(text)
        self.job = replace(self.job, notes=(*self.job.notes, text))
        self._write()

    def write(self, **changes: Any) -> None:
        """Change what the job's file says; an error where it cannot be written."""
        self.job = replace(self.job, **changes).write(self._store)

    def end(self, state: job.State, **changes: Any) -> None:
        """Write how the job ended."""
        self.write(state=state, ended=job.now(), **changes)

    def _write(self) -> None:
        self._written = time.monotonic()
        try:
            self.job.write(self._store)
        except OSError as error:  # how far it is, is not worth ending it for
            self._shown.note(f"the job's file could not be written: {error}")
