"""Digests of large files that are hashed once, and then known by their state, as git's index does.

For files of the hub's cache: they are called by their digests, which nobody has checked, and only
a new file takes the place of another. A file whose size, times and number are what they were when
it was hashed is not hashed again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.errors import ModelError
from bakery.identity import file_digest
from bakery.records import write_atomic
from bakery.store import user

SETTLED_NS = 2_000_000_000
"""A file that was written to within this time may be written to again without a sign of it."""
INDEX_BYTES = 16 << 20


def digest(path: Path) -> str:
    """Return the SHA-256 of a file of the hub's cache, which is its name; ModelError: it is not."""
    state = _state(path)
    index = _read()
    if index.get(str(path)) == [*state, path.name]:
        return path.name
    found = file_digest(path)
    if found != path.name:
        raise ModelError(
            f"the file {path} in the hub's cache is damaged: its digest is {found[:16]}…",
            hint="Delete it, then run the same command again: it is fetched anew.",
        )
    if time.time_ns() - max(state[1], state[2]) > SETTLED_NS and _state(path) == state:
        _write({**index, str(path): [*state, found]})
    return found


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _place() -> Path:
    return user.cache() / "hashed.json"


def _read() -> dict[str, Any]:
    """Return what is known; an index that cannot be read knows nothing."""
    try:
        return json_file.load_object(_place(), most=INDEX_BYTES)
    except (OSError, ValueError, RuntimeError):
        return {}


def _write(index: dict[str, Any]) -> None:
    kept = {name: entry for name, entry in index.items() if Path(name).is_file()}
    try:
        _place().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(_place(), json.dumps(kept, indent=1) + "\n")
    except OSError:  # it is hashed again then
        return
