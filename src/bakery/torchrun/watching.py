"""A process that ends with the one that started it: nobody trains on after a run was killed."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

POLL_S = 0.5

_PR_SET_PDEATHSIG = 1
"""By which Linux is asked to send a signal when the parent ends."""


def end_with(parent: int, *, folders: Sequence[Path] = ()) -> None:
    """End this process once it is no longer a child of `parent`.

    With `folders` that `parent` can no longer remove they are removed, and the whole group ends.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        if folders:
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()


def die_with_parent() -> None:
    """Have the system kill this process with its parent, where it can.

    Also while it is stopped, or in the middle of what lets no thread of Python run. A parent that
    has ended by now is what `end_with` sees.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
