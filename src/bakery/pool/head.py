"""The process that Ray's own processes on this machine are begun by, and end with.

Run as `python -m bakery.pool.head FOLDER CPUS` in a session of its own. Who asks holds the other
end of stdin, and lets go of that however it ends, killed or not: then all of the session is killed,
and the folder removed. The address to connect to is the one line that is printed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
OBJECTS = 128 << 20
"""Bytes of the store that processes share: what travels is questions, answers and adapters."""
KILL_S = 5.0
"""How long processes may take to be gone once they are killed."""
REFUSED = "refused: "
"""In front of what is printed in the place of an address: why there is none."""


def main(folder: str, cpus: str) -> None:
    """Begin Ray, say where it listens, and wait to be let go of."""
    threading.Thread(target=_end_when_let_go, args=(Path(folder),), daemon=True).start()
    import ray as library

    ray: Any = library

    try:
        ray.init(
            address="local",
            num_cpus=int(cpus),
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.CRITICAL,
            object_store_memory=OBJECTS,
            _temp_dir=str(Path(folder, "ray")),
        )
        address = ray.get_runtime_context().gcs_address
        outside = [n for n in ray.nodes() if n["NodeManagerAddress"] != LOOPBACK]
        said = f"{REFUSED}it would listen to other machines" if outside else address
    except Exception as error:  # of many kinds: it starts programs
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = f"{REFUSED}{(lines or [type(error).__name__])[0]}"
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    threading.Event().wait()


def _end_when_let_go(folder: Path) -> None:
    sys.stdin.buffer.read()
    kill_session(os.getsid(0))
    shutil.rmtree(folder, ignore_errors=True)
    # Not sys.exit: Ray would take its time to end what is gone.
    os._exit(0)


def kill_session(session: int) -> None:
    """Kill every other process of a session: what Ray began, and what that began."""
    import psutil

    ends = time.monotonic() + KILL_S
    while True:
        others = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                is_other = process.pid != os.getpid() and os.getsid(process.pid) == session
                if is_other and process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    others.append(process)
        if not others or time.monotonic() > ends:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
