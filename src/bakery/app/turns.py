"""The order in which the jobs of a store work: one after the other, as they were launched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bakery.reporting import Reporter
from bakery.store import job
from bakery.store.job import Job
from bakery.store.store import Store

POLL_S = 0.1


@contextmanager
def taken(store: Store, mine: Job, reporter: Reporter) -> Iterator[None]:
    """Hold the one place in which the jobs of a store work, in the order of their launch."""
    if mine.at_once:
        yield
        return
    for other in _before(store, mine, reporter):
        reporter.note(f"waiting for job {other.id}, {' '.join(other.names)} on {other.branch}")
        path = job.record_path(store, other.id)
        while (now := job.peek(path)) and now.is_live:
            time.sleep(POLL_S)
    with store.lock(store.root / "turn", f"job {mine.id}", wait_s=-1, announce=reporter.note):
        yield


def _before(store: Store, mine: Job, reporter: Reporter) -> list[Job]:
    return [
        other
        for other in job.listed(store, note=reporter.note)
        if other.is_live
        and not other.at_once
        and (other.created, other.id) < (mine.created, mine.id)
        and other.process is not None
        and other.process.is_here
    ]
