"""Folders that are written beside their place first: each is one process's, and goes with it.

A process is not known by its number alone: after a restart, or in another container over the same
disk, that number is another's. So a draft is held by a lock of the operating system.
"""

from __future__ import annotations

import glob
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"
_UNLOCKED_S = 5.0
"""For how long a draft may be there before its process holds it."""
_WRITTEN_S = 60.0
"""Seconds after which nobody is at a file any more that is written in moments."""


@contextmanager
def draft(beside: Path, name: str) -> Iterator[Path]:
    """Yield a new folder for what will be `name`; what killed processes left there goes first."""
    import filelock  # here: most commands draft nothing, and start sooner without it

    beside.mkdir(parents=True, exist_ok=True)
    for left in beside.glob(f".{glob.escape(name)}.*.tmp"):
        if left.is_dir() and not left.is_symlink() and is_left(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=beside))
    folder.chmod(0o755)  # what is written in it is moved out, and read by others
    held = filelock.FileLock(folder / _LOCK)
    try:
        held.acquire()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        held.release()


def is_left(folder: Path) -> bool:
    """Tell whether the process that made a draft is gone."""
    import filelock

    lock = folder / _LOCK
    try:
        if not lock.exists():
            return time.time() - folder.stat().st_mtime > _UNLOCKED_S
        with filelock.FileLock(lock, timeout=0):
            return True
    except (filelock.Timeout, OSError):
        return False


def is_old(path: Path) -> bool:
    """Tell whether a file that is written in moments, and then renamed or removed, was left."""
    try:
        return time.time() - path.lstat().st_mtime > _WRITTEN_S
    except OSError:
        return False
