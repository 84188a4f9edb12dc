"""A process that ends with the one that started it: nobody trains on after a run was killed."""

from __future__ import annotations

import os
import signal
import threading
import time

POLL_S = 0.5


def end_with(parent: int, *, group: bool = False) -> None:
    """End this process, or its whole group, once it is no longer a child of `parent`."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        if group:
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()
