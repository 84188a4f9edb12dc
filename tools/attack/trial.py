"""One command typed in this process, under a deadline: what it said, and how it ended.

The commands are the real ones (`bgit`, `bakery`); starting a process for each would take hours.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from bakery.errors import BakeryError

LIMIT_S = 10.0
"""Seconds of computing that no answer may take."""

MOST_WAIT_S = 60.0
"""Seconds that no answer may take by the clock: this machine may be busy with other things."""


class Late(BaseException):
    """Over the deadline. Not an Exception: nothing that is attacked may catch it."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command answered; `crash` is its traceback, where it had one."""

    code: int
    out: str
    err: str
    crash: str = ""

    @property
    def said(self) -> str:
        """All that a person reads."""
        return f"{self.out}\n{self.err}".strip()


def bgit(*words: str) -> Typed:
    """Type a bgit command."""
    from bakery.cli.app import bgit as door

    return typed(lambda: door.main(list(words), prog_name="bgit"))


def bakery(*words: str) -> Typed:
    """Type a bakery command."""
    from bakery.cli.bakery import main

    return typed(lambda: main(list(words)))


def typed(work: Callable[[], object]) -> Typed:
    """Do what ends as a command ends, and return what it said."""
    out, err, code, crash = io.StringIO(), io.StringIO(), 0, ""
    stdin = sys.stdin
    sys.stdin = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:
        code, crash = 1, last_lines(traceback.format_exc())
    finally:
        sys.stdin = stdin
    return Typed(code, out.getvalue(), err.getvalue(), crash)


def called(work: Callable[[], object]) -> Typed:
    """Call a function of ours; an error that a person can act on is a refusal."""

    def ended() -> None:
        try:
            work()
        except BakeryError as error:
            hint = f"\nhint: {error.hint}" if error.hint else ""
            sys.stderr.write(f"error: {error.message}{hint}\n")
            raise SystemExit(error.exit_code) from error

    return typed(ended)


def last_lines(text: str, most: int = 12) -> str:
    """Return the end of a traceback: what was raised, and where."""
    return "\n".join(line[:300] for line in text.strip().splitlines()[-most:])


@contextlib.contextmanager
def deadline(limit_s: float = LIMIT_S, wait_s: float = MOST_WAIT_S) -> Iterator[None]:
    """Raise Late after so much computing, or so much waiting."""
    began, used = time.monotonic(), _computed_s()

    def ring(_: int, __: FrameType | None) -> None:
        if _computed_s() - used > limit_s or time.monotonic() - began > wait_s:
            raise Late

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s, 2.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _computed_s() -> float:
    took = os.times()
    return took.user + took.system + took.children_user + took.children_system
