"""The processes of a pool at work: parts out, what was made of them in, lost ones made again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import bakery
from bakery.errors import StageError
from bakery.pool.cluster import Shape
from bakery.pool.work import Done, Here, Who, Worker
from bakery.reporting import Reporter

RESTARTS = 2
"""How often Ray begins a lost process anew, and has it do again what it was at."""
TRIES = 3
"""How often a part is given out in all, where its process is lost for good."""
BEGIN_S = 180.0
"""How long the first process may take to be there: it loads torch on a machine that may be busy."""
LOOK_S = 0.5
"""Between looks at whether somebody pressed Ctrl-C."""

_GO_ON = "What is answered is kept: run the same command again to go on."


@dataclass(slots=True)
class _Actor:
    """One process: Ray's handle of it, and which it was last."""

    number: int
    handle: Any
    pid: int = 0
    host: str = ""


@dataclass(slots=True)
class _Part:
    """One part: what is asked, and how often it was given out."""

    number: int
    given: tuple[Any, ...]
    tries: int = 0


@dataclass(slots=True)
class Crew:
    """Processes of one cluster. Raises StageError where none is left."""

    ray: Any
    shape: Shape
    reporter: Reporter
    _idle: list[_Actor] = field(default_factory=list)
    _starting: dict[Any, _Actor] = field(default_factory=dict)
    _asked: tuple[Who, Any] | None = None

    def begin(self) -> None:
        """Start every process, and wait for the first."""
        made = self.ray.remote(Worker).options(
            num_cpus=self.shape.cpus, num_gpus=self.shape.gpus,
            max_restarts=RESTARTS, max_task_retries=RESTARTS,
        )  # fmt: skip
        for number in range(1, self.shape.actors + 1):
            handle = made.remote(self.shape.threads)
            self._starting[handle.hello.remote()] = _Actor(number, handle)
        ends = time.monotonic() + BEGIN_S
        while not self._idle:
            for ref in self._ready(self._starting):
                self._welcome(ref)
            if not self._idle and time.monotonic() > ends:
                raise StageError(
                    f"no process of the pool was there after {BEGIN_S:.0f} s: each of them takes "
                    f"{self.shape.cpus:g} CPU and {self.shape.gpus:g} GPU",
                    hint="Somebody else may hold them: `ray status` says who.",
                )

    @property
    def actors(self) -> list[_Actor]:
        """The processes that wait for work."""
        return self._idle

    @property
    def size(self) -> int:
        """How many processes there are, or may yet be."""
        return max(1, len(self._idle) + len(self._starting))

    def one(self, who: Who, what: str, *given: Any) -> Any:
        """Return what one process says."""
        (_, done), *_ = self.each(who, what, [given])
        if done.failed is not None:
            raise done.failed.error()
        return done.value

    def each(
        self, who: Who, what: str, parts: Sequence[tuple[Any, ...]], *, most: int | None = None
    ) -> Iterator[tuple[int, Done]]:
        """Yield what was made of each part, with its number, in the order in which it is there.

        At most so many processes work at once; None: all of them.
        """
        todo = deque(_Part(number, given) for number, given in enumerate(parts))
        busy: dict[Any, tuple[_Actor, _Part]] = {}
        try:
            while todo or busy:
                while todo and self._idle and (most is None or len(busy) < most):
                    actor, part = self._idle.pop(0), todo.popleft()
                    part.tries += 1
                    ref = actor.handle.do.remote(self._told(who), what, *part.given)
                    busy[ref] = actor, part
                if not busy and not self._starting:
                    raise self._nobody()
                for ref in self._ready({**busy, **(self._starting if todo else {})}):
                    if ref in self._starting:
                        self._welcome(ref)
                        continue
                    actor, part = busy.pop(ref)
                    done = self._taken(ref, actor, part)
                    if done is None:
                        todo.appendleft(part)
                    else:
                        self._idle.append(actor)
                        yield part.number, done
        finally:
            for ref, (actor, _) in busy.items():  # an error ended it: nobody waits for the rest
                with suppress(Exception):  # the cluster itself may be gone
                    self.ray.cancel(ref)
                self._idle.append(actor)

    def _told(self, who: Who) -> Any:
        """Return who is asked as it lies in the cluster: an adapter travels once."""
        if self._asked is None or self._asked[0] != who:
            self._asked = who, self.ray.put(who)
        return self._asked[1]

    def _ready(self, refs: dict[Any, Any]) -> list[Any]:
        try:
            ready, _ = self.ray.wait(list(refs), num_returns=1, timeout=LOOK_S)
        except ConnectionError as error:
            raise StageError("the cluster is gone", hint=_GO_ON) from error
        return list(ready)

    def _welcome(self, ref: Any) -> None:
        """Take a process that is there; refuse one that runs another version."""
        actor = self._starting.pop(ref)
        try:
            here: Here = self.ray.get(ref)
        except Exception as error:  # Ray's own, of many kinds: what is behind it is in its text
            raise StageError(
                f"a process of the pool cannot begin: {_last_line(error)}",
                hint=f"prompt-bakery[ray] {bakery.__version__} has to be installed on every "
                "machine of the cluster, for its Python: nothing is installed or sent there.",
            ) from error
        if here.version != bakery.__version__:
            raise StageError(
                f"{here.host} has bakery {here.version}, and this is {bakery.__version__}: "
                "their answers could differ",
                hint="Install the same version on every machine of the cluster.",
            )
        actor.pid, actor.host = here.pid, here.host
        self._idle.append(actor)

    def _taken(self, ref: Any, actor: _Actor, part: _Part) -> Done | None:
        """Return what was made of a part; None: its process is lost for good."""
        lost = self.ray.exceptions.RayActorError
        try:
            done: Done = self.ray.get(ref)
        except lost as error:
            self.reporter.note(
                f"process {actor.number} of the pool (pid {actor.pid} on {actor.host}) is lost: "
                f"its part is made again by {self._others()}"
            )
            if part.tries >= TRIES:
                raise StageError(
                    f"{part.tries} processes were lost at the same part of the work",
                    hint=f"Is there memory for as many? {_GO_ON}",
                ) from error
            return None
        if done.pid != actor.pid:
            self.reporter.note(
                f"process {actor.number} of the pool (pid {actor.pid} on {actor.host}) was lost "
                f"and began anew as pid {done.pid}: what it was at is made again"
            )
            actor.pid = done.pid
        return done

    def _others(self) -> str:
        left = self.size
        return "the other" if left == 1 else f"the {left} others"

    def _nobody(self) -> StageError:
        return StageError("every process of the pool is lost", hint=_GO_ON)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
