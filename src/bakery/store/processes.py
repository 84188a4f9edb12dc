"""Which process is meant: a number alone may be another's by now."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

CLOCK_S = 5.0
"""By how much two readings of a start may differ: a system's clock is corrected now and then."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process, named so that no later one is taken for it."""

    pid: int
    started: float
    """Seconds since 1970, as the operating system says."""
    host: str

    @classmethod
    def own(cls) -> ProcessId:
        """Return the process that asks."""
        import psutil  # here: most commands ask for no process, and start sooner without it

        return cls(os.getpid(), psutil.Process().create_time(), socket.gethostname())

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    def is_dead(self) -> bool:
        """Tell whether it is surely gone; of another machine nothing is known."""
        if not self.is_here:
            return False
        import psutil

        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < CLOCK_S
            return not same or found.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:  # it is there, and another user's
            return False

    def stop(self, patience_s: tuple[float, float, float]) -> None:
        """End it: first as Ctrl-C does, so that it can keep what it has; then less kindly.

        Waits after each step; raises PermissionError where it is another user's.
        """
        import psutil

        for step, patience in zip(("interrupt", "terminate", "kill"), patience_s, strict=True):
            if self.is_dead():
                return
            try:
                found = psutil.Process(self.pid)
                others = found.children(recursive=True) if step == "kill" else []
                if step == "interrupt" and os.name == "posix":
                    found.send_signal(signal.SIGINT)
                elif step == "terminate":
                    found.terminate()
                for process in [found, *others] if step == "kill" else []:
                    process.kill()
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied as error:
                raise PermissionError(f"{self} belongs to another user") from error
            end = time.monotonic() + patience
            while not self.is_dead() and time.monotonic() < end:
                time.sleep(0.02)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def is_free(lock: Path) -> bool:
    """Tell whether a process of another host let go of its lock: it ended, or its container."""
    import filelock

    if not lock.exists():
        return False
    try:
        with filelock.FileLock(lock, timeout=0):
            return True
    except (filelock.Timeout, OSError):
        return False
