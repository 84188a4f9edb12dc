"""A command in a process of its own, which is killed in the middle; its libraries are loaded.

Forked from one that has imported torch: a process that starts anew would be killed while it
imports, most of the time.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_S = 0.002

HANGS_S = 120.0
"""Seconds after which a command is taken to hang: a whole one takes two or three."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: `code` is -9 where it was killed. `said` is all that it printed."""

    code: int
    said: str
    seconds: float


def run(
    words: Sequence[str], cwd: Path, *, kill_after_s: float | None = None, group: bool = False
) -> Ended:
    """Run `bgit WORDS` or `bakery WORDS`; kill it, or all that it started, after so long.

    `kill_after_s` None: it comes to its end.
    """
    log = cwd.parent / f"{cwd.name}.log"
    log.write_bytes(b"")
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(words, cwd, log)
    status, limit = None, HANGS_S if kill_after_s is None else kill_after_s
    while status is None and time.monotonic() - began < limit:
        status = _ended(child)
        time.sleep(POLL_S)
    if status is None:
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    _wait_for_the_rest(child)
    said = log.read_text(encoding="utf-8", errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), said, time.monotonic() - began)


def _become(words: Sequence[str], cwd: Path, log: Path) -> None:
    """Be the command, and nothing else ever after."""
    code = 70
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(cwd)
        code = _typed(words)
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _typed(words: Sequence[str]) -> int:
    """Type the command as a shell does, on this process's own streams."""
    import sys

    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (ends with the process)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    program, *rest = words
    try:
        if program == "bgit":
            from bakery.cli.app import bgit

            bgit.main(rest, prog_name="bgit")
        from bakery.cli.bakery import main

        main(rest)
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _ended(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return status if pid else None


def _wait_for_the_rest(session: int) -> None:
    """Wait until what a killed command had started, git most of all, has ended by itself."""
    end = time.monotonic() + 20
    while _lives(session):
        if time.monotonic() > end:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)
            return
        time.sleep(POLL_S)


def _lives(session: int) -> bool:
    """Tell whether a session has a process that is not dead: nobody may have buried one yet."""
    try:
        os.killpg(session, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return any(
        _session(process.pid) == session and _status(process) != psutil.STATUS_ZOMBIE
        for process in psutil.process_iter()
    )


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)
