"""Many objects to and fro at once, and how far they are; the first failure ends them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

from bakery.json_file import said_size
from bakery.remotes.bucket import Moved, StoppedError
from bakery.reporting import Reporter

TOLD_S = 0.2

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Gauge:
    """How many bytes have moved, and whether they are to go on."""

    bytes: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def moved(self, count: int) -> None:
        """Count what has moved."""
        if self.stopped.is_set():
            raise StoppedError
        with self._lock:
            self.bytes += count


def every(
    work: Callable[[T, Moved], R],
    items: Sequence[T],
    *,
    label: str,
    total: int,
    at_once: int,
    reporter: Reporter,
) -> list[R]:
    """Do some work on every item, some at once; return the results in the order of the items.

    `total`: how many bytes there are in all.
    """
    gauge, began = Gauge(), time.monotonic()
    done: dict[int, R] = {}
    with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(items)))) as pool:
        waiting: dict[Future[R], int] = {}
        try:
            waiting = {pool.submit(work, item, gauge.moved): n for n, item in enumerate(items)}
            while waiting:
                ended, _ = wait(waiting, timeout=TOLD_S, return_when=FIRST_COMPLETED)
                for one in ended:
                    done[waiting.pop(one)] = one.result()
                if items:
                    reporter.progress(label, len(done), len(items), _said(gauge, total, began))
        finally:
            gauge.stopped.set()
            for one in waiting:
                one.cancel()
    return [done[number] for number in range(len(items))]


def _said(gauge: Gauge, total: int, began: float) -> str:
    """Return how many bytes there are by now, and how fast they come; nothing of things alone."""
    if not total:
        return ""
    took = max(time.monotonic() - began, 1e-3)
    return f"{said_size(gauge.bytes)} of {said_size(total)}, {gauge.bytes / 1e6 / took:,.1f} MB/s"
