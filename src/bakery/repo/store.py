"""Where weights, questions and answers lie: beside git's own data, keyed by id.

Paths, size and locks; what is in the folders is written by the stages.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bakery.errors import RepoError
from bakery.records import write_atomic


class BusyError(RepoError):
    """Another process holds a folder."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results. Worktrees of one repository share it; `git clean` cannot reach it."""

    root: Path

    @classmethod
    def beside(cls, common_dir: Path) -> Store:
        """Return the store of a repository: BGIT_STORE, or `bakery` in git's common folder."""
        moved = os.environ.get("BGIT_STORE")
        return cls(Path(moved).expanduser().absolute() if moved else common_dir / "bakery")

    def stim(self, stim_id: str) -> Path:
        """Return the folder of a set of questions."""
        return self.root / "stim" / stim_id

    def target(self, target_id: str) -> Path:
        """Return the folder of a set of answers."""
        return self.root / "target" / target_id

    def bake(self, bake_id: str) -> Path:
        """Return the folder of a bake."""
        return self.root / "bake" / bake_id

    def pending(self, bake_id: str) -> Path:
        """Return the journal of a record that is under way."""
        return self.root / "pending" / f"{bake_id}.json"

    def journals(self) -> list[Path]:
        """Return the journals that there are."""
        return sorted((self.root / "pending").glob("*.json"))

    def size(self) -> int:
        """Return how many bytes the store takes."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(FileNotFoundError):
                    total += (Path(folder) / name).lstat().st_size
        return total

    @contextmanager
    def lock(self, folder: Path, command: str, *, wait_s: float = 0) -> Iterator[None]:
        """Hold a folder for one process; BusyError names who has it.

        The lock is the operating system's: that of a dead process is free. The file beside it
        only says who holds it.
        """
        import filelock  # here: most commands lock nothing, and start sooner without it

        path = self._lock_path(folder)
        holder = path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(path)
        try:
            held.acquire(timeout=wait_s)
        except filelock.Timeout as error:
            raise BusyError(
                f"{folder} is in use{_named(holder)}",
                hint="Wait for it, or stop it; what it has written is kept.",
            ) from error
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            write_atomic(
                holder,
                json.dumps(
                    {
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "command": command,
                        "since": since,
                    }
                )
                + "\n",
            )
            yield
        finally:
            holder.unlink(missing_ok=True)
            held.release()

    def _lock_path(self, folder: Path) -> Path:
        inside = folder.relative_to(self.root) if folder.is_relative_to(self.root) else folder
        return self.root / "locks" / ("-".join(p for p in inside.parts if p != "/") + ".lock")


def _named(holder: Path) -> str:
    """Return who holds a lock, as far as is known."""
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        return (
            f" by `{who['command']}` (process {who['pid']} on {who['host']}, since {who['since']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return " by another process"
