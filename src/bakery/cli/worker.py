"""The process of a run in the background: `python -m bakery.cli.worker <store> <job>`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

from bakery.app import background
from bakery.cli import fetching, rim
from bakery.store.store import Store
from bakery.ui.console import show_run
from bakery.ui.progress import Lines


def main() -> None:
    """Do one job; all that is said goes into its log."""
    store, job_id = Store(Path(sys.argv[1])), sys.argv[2]
    # A shell may have started us with Ctrl-C ignored; and to be ended is to be stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stopped)
    rim.end(lambda: _work(store, job_id), stopped="what was made is kept")


def _work(store: Store, job_id: str) -> int:
    fetching.allow()
    background.work(store, job_id, Lines(), show_run)
    return 0


def _stopped(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
