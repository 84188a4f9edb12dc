"""Cases tried by a few processes, each of which may hang, die, or eat memory.

Whatever becomes of a process is the outcome of the case that it was at; another one goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tools.attack.trial import MOST_WAIT_S, Late, last_lines
from tools.attack.verdicts import Outcome

GRACE_S = 30.0
"""Seconds behind the deadline after which a process is taken to hang."""

MEMORY = 3 << 30
"""Bytes that a process may take on top of what it has when it starts."""

Trial = Callable[[str], Outcome]


def outcomes(
    cases: Sequence[str], prepare: Callable[[Path], Trial], *, processes: int
) -> Iterator[Outcome]:
    """Try every case; `prepare` makes a process ready, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bakery-attack-") as scratch:
        todo = [list(cases[number::processes]) for number in range(processes)]
        at_work = [_Worker(part, prepare, Path(scratch)) for part in todo if part]
        while at_work:
            wait([worker.answers for worker in at_work], timeout=1.0)
            for worker in list(at_work):
                yield from worker.ready()
                if worker.is_done:
                    at_work.remove(worker)


class _Worker:
    """A process that goes through its cases, and the next one where it died."""

    def __init__(self, cases: list[str], prepare: Callable[[Path], Trial], scratch: Path) -> None:
        self._cases, self._prepare, self._scratch = cases, prepare, scratch
        self._start()

    @property
    def is_done(self) -> bool:
        return not self._cases

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.answers, theirs = context.Pipe(duplex=False)
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        self._process = context.Process(
            target=_work, args=(list(self._cases), self._prepare, folder, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self._heard = time.monotonic()

    def ready(self) -> Iterator[Outcome]:
        """Yield what has come; where the process is gone or hangs, that is an outcome, too."""
        try:
            while self._cases and self.answers.poll():
                outcome = self.answers.recv()
                self._heard = time.monotonic()
                self._cases.pop(0)
                yield outcome
        except (EOFError, OSError):
            self._process.join()
            if self._process.exitcode == 0:
                self._start()
            else:
                code = self._process.exitcode
                yield self._ended("traceback", f"the process ended with {code}")
            return
        if self._cases and time.monotonic() - self._heard > 2 * MOST_WAIT_S + GRACE_S + 60:
            yield self._ended("slow", "it hangs where no signal reaches it")

    def _ended(self, verdict: str, said: str) -> Outcome:
        self._process.kill()
        self._process.join()
        case = self._cases.pop(0)
        if self._cases:
            self._start()
        return Outcome(case, verdict, said)  # type: ignore[arg-type]  # one of two verdicts


def _work(
    cases: Sequence[str], prepare: Callable[[Path], Trial], folder: Path, answers: Connection
) -> None:
    """Try the cases in order, and tell of each; nothing is printed."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    _limit_memory()
    trial = prepare(folder)
    for case in cases:
        outcome = tried(trial, case)
        answers.send(outcome)
        if outcome.verdict == "slow":
            break  # whatever it waits for, in whichever thread, goes with the process
    answers.close()
    with suppress(BaseException):
        os._exit(0)


def tried(trial: Trial, case: str) -> Outcome:
    """Return what came of a case, whatever the trial itself ran into."""
    import traceback

    try:
        return trial(case)
    except Late:
        return Outcome(case, "slow", "over the deadline")
    except Exception:
        return Outcome(case, "traceback", last_lines(traceback.format_exc()))


def _limit_memory() -> None:
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
