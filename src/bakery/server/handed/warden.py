"""Runs a program, and ends it with all that it started once whoever asked for it lets go.

Run by its path, as `python -I warden.py GRACE_S PROGRAM ARGUMENT…`: nothing of bakery is imported.
Who asks holds the other end of stdin, and lets go of that however it ends, killed or not.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

IS_POSIX = os.name == "posix"


def main(grace_s: str, *command: str) -> int:
    """Run a program until it ends, or is ended; return its code."""
    # A group of its own: what it has started goes with it, and this process does not.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0 if IS_POSIX else None
    )

    def end() -> None:
        process.terminate()
        try:
            process.wait(float(grace_s))
        except subprocess.TimeoutExpired:
            process.kill()

    def wait_until_let_go() -> None:
        sys.stdin.buffer.read()
        end()

    for told in (signal.SIGTERM, signal.SIGINT):
        signal.signal(told, lambda *_: threading.Thread(target=end, daemon=True).start())
    threading.Thread(target=wait_until_let_go, daemon=True).start()
    code = process.wait()
    if IS_POSIX:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # Not sys.exit: the interpreter would wait for whoever reads stdin.
    os._exit(main(*sys.argv[1:]))
