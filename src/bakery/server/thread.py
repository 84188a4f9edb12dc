"""The one thread that decodes: rows join and leave its batch between steps.

Everything but `run` and `ready` is for the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bakery.errors import BakeryError
from bakery.identity import SamplingSettings
from bakery.reporting import Reporter
from bakery.server.errors import RequestError

if TYPE_CHECKING:
    from bakery.engine.serving.asking import Allowed, Ask, Echo, Token
    from bakery.engine.serving.batch import Batch
    from bakery.engine.serving.slices import Shelf

LONGEST_RETRY_S = 60
STEP_S = 30.0
"""How long a step that is under way is waited for in the end."""

_OLD = 0.8
"""How much of what is known of a row's time stays when the next one is over."""


@dataclass(frozen=True, slots=True)
class Row:
    """An answer that somebody waits for: which model continues which ids, and how.

    `key` names it, and `seed` draws it: two rows of one seed say the same. `folder` None: the
    base. `top` None: no log probabilities; `echo`: those of its own ids, too. `allowed` holds it to
    a form, and is this row's alone. `keys` are those of the model's slices, once they were read.
    """

    key: str
    seed: str
    ids: tuple[int, ...]
    settings: SamplingSettings
    folder: Path | None = None
    strength: float = 1.0
    top: int | None = None
    echo: bool = False
    allowed: Allowed | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that came to nothing. `is_refused`: it never could be; else something is broken."""

    key: str
    error: Exception
    is_refused: bool


Event: TypeAlias = "Token | Echo | Failed"
"""What comes of a row, step by step."""


class Decoding(threading.Thread):
    """Rows in, tokens out, by the queue of whoever asked. It takes `most` rows at a time."""

    def __init__(self, batch: Batch, shelf: Shelf, *, most: int, reporter: Reporter) -> None:
        super().__init__(name="decoding", daemon=True)
        self.most = most
        self._batch, self._shelf, self._reporter = batch, shelf, reporter
        self._orders: queue.SimpleQueue[Row | tuple[str, ...] | None] = queue.SimpleQueue()
        self._waiting: dict[str, tuple[asyncio.Queue[Event | None], float]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._usual_s = 1.0
        self._keys: set[str] = set()

    @property
    def rows(self) -> int:
        """How many rows are under way or wait."""
        return len(self._waiting)

    def submit(self, rows: Sequence[Row]) -> asyncio.Queue[Event | None]:
        """Take all of some rows, or none: RequestError where too many wait already."""
        self.check(len(rows))
        self._loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        for row in rows:
            self._waiting[row.key] = events, time.monotonic()
            self._orders.put(row)
        return events

    def check(self, count: int) -> None:
        """Refuse so many rows where they could not be taken."""
        if not self.is_alive():
            raise RequestError(503, "This server has stopped answering: start it again.")
        if len(self._waiting) + count > self.most:
            retry_s = min(LONGEST_RETRY_S, max(1, math.ceil(self._usual_s)))
            raise RequestError(
                429, f"{len(self._waiting)} answers are under way or wait, and this server takes "
                f"{self.most}: try again in {retry_s} s.", code="rate_limit_exceeded",
                retry_s=retry_s,
            )  # fmt: skip

    def ready(self, rows: Sequence[Row]) -> tuple[Row, ...]:
        """Return rows with their models in memory, where there is room; BakeryError says why not.

        Any thread may call it: it reads files.
        """
        keys = {row.folder: self._shelf.ready(row.folder) for row in rows if row.folder is not None}
        return tuple(replace(row, keys=keys[row.folder]) if row.folder else row for row in rows)

    def leave(self, keys: Iterable[str]) -> None:
        """Let rows go that nobody waits for any more."""
        known = tuple(key for key in keys if self._waiting.pop(key, None) is not None)
        if known:
            self._orders.put(known)

    def stop(self) -> None:
        """End the thread, once its step is done."""
        self._orders.put(None)

    def close(self) -> None:
        """End it and wait: a thread that computes while Python ends takes the process down."""
        self.stop()
        if self.is_alive():
            self.join(STEP_S)

    def run(self) -> None:
        """Decode until it is stopped."""
        while True:
            events: list[Event] = []
            if not self._take(events):
                return
            if len(self._batch):
                events += self._step()
            if events and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._hand_out, events)

    def _take(self, events: list[Event]) -> bool:
        """Let rows join and leave; wait for one where there is none. False: it is to end."""
        while True:
            try:
                order = self._orders.get(block=not (len(self._batch) or events))
            except queue.Empty:
                return True
            if order is None:
                return False
            if isinstance(order, tuple):
                for key in order:
                    self._keys.discard(key)
                    self._batch.leave(key)
                continue
            try:
                self._batch.join(_ask(order))
                self._keys.add(order.key)
            except Exception as error:
                events.append(self._failed(order.key, error))

    def _step(self) -> list[Event]:
        from bakery.engine.serving import asking

        try:
            found = self._batch.step()
        except Exception as error:  # none of them knows whose fault it is
            keys, self._keys = self._keys, set()
            for key in keys:
                self._batch.leave(key)
            return [self._failed(key, error) for key in keys]
        events: list[Event] = [
            self._failed(one.key, one.error) if isinstance(one, asking.Failed) else one
            for one in found
        ]
        self._keys -= {event.key for event in events if _is_last(event)}
        return events

    def _failed(self, key: str, error: Exception) -> Failed:
        is_refused = isinstance(error, BakeryError)
        if not is_refused:  # its words may hold what was asked: who it is has to do
            self._reporter.note(f"an answer failed: {type(error).__name__}{_where(error)}")
        return Failed(key, error, is_refused)

    def _hand_out(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.key not in self._waiting:
                continue  # its client has gone
            events_of, since = self._waiting[event.key]
            if _is_last(event):
                del self._waiting[event.key]
                took = time.monotonic() - since
                self._usual_s = _OLD * self._usual_s + (1 - _OLD) * took
            events_of.put_nowait(event)


def _is_last(event: Event) -> bool:
    return isinstance(event, Failed) or event.finish is not None


def _ask(row: Row) -> Ask:
    """Return a row as the batch takes it: a model is the slices of its adapter, the last scaled."""
    from bakery.engine.serving.asking import Ask, Mix

    keys = row.keys
    strengths = [*(1.0 for _ in keys[:-1]), row.strength]
    # At 0 a slice adds nothing: the parent by itself, and what is cached of it, is meant.
    parts = tuple((k, s) for k, s in zip(keys, strengths, strict=False) if s)
    return Ask(
        row.key, row.ids, row.settings, Mix(parts), seed=row.seed, top=row.top, echo=row.echo,
        allowed=row.allowed,
    )  # fmt: skip


def _where(error: Exception) -> str:
    """Return the line that an error comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
