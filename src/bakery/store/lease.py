"""Bakes that a process goes on reading: no collection takes them away while it lives.

A lock holds a folder for one process alone; what is only read may be held by any number.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.records import write_atomic
from bakery.store.processes import ProcessId, is_free
from bakery.store.store import Store

HELD = "held"
OLD_S = 60.0
"""A lock that is no younger belongs to nobody who has just made it, and not taken it yet."""


class Lease:
    """What one process holds, from `add` until it is closed; what a dead one held is free."""

    def __init__(self, store: Store, command: str) -> None:
        import filelock

        folder = store.root / HELD
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._command, self._bakes = command, set[str]()
        # Who looks from another machine sees by the lock whether this process lives.
        self._alive = filelock.FileLock(self._path.with_suffix(".lock"), thread_local=False)
        self._alive.acquire()

    def add(self, bake_id: str) -> None:
        """Hold a bake, too: on disk before this returns."""
        if bake_id in self._bakes:
            return
        self._bakes.add(bake_id)
        said = {
            "schema": 1,
            "command": self._command,
            "process": asdict(ProcessId.own()),
            "bakes": sorted(self._bakes),
        }
        write_atomic(self._path, json.dumps(said) + "\n")

    def close(self) -> None:
        """Let go of all of it."""
        self._path.unlink(missing_ok=True)
        self._alive.release()
        self._path.with_suffix(".lock").unlink(missing_ok=True)


def held(store: Store) -> set[str]:
    """Return the ids of the bakes that some living process reads."""
    return {
        bake
        for path, said in _said(store.root / HELD)
        if not _is_over(path, said)
        for bake in said["bakes"]
    }


def _said(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            said = json_file.load_object(path)
            ProcessId(**said["process"])
            if all(isinstance(bake, str) for bake in said["bakes"]):
                yield path, said
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it ended just now, or it is of no lease


def _is_over(path: Path, said: dict[str, Any]) -> bool:
    process = ProcessId(**said["process"])
    return process.is_dead() or (not process.is_here and is_free(path.with_suffix(".lock")))


def _clear(folder: Path) -> None:
    """Take away what processes left that were killed."""
    for path, said in _said(folder):
        if _is_over(path, said):
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
    for lock in folder.glob("*.lock"):  # of who was killed before it held anything
        if not lock.with_suffix(".json").exists() and _is_old(lock) and is_free(lock):
            lock.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > OLD_S
    except OSError:  # it is gone by now
        return False
