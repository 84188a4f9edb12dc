"""Which process is meant: a number alone may be another's by now."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

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

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"
