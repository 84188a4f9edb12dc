"""Where weights, questions and answers lie: beside git's own data, keyed by id.

Paths, size and locks; what is in the folders is written by the stages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bakery import json_file
from bakery.errors import RepoError
from bakery.paths import expanded
from bakery.records import sync_folder, write_atomic
from bakery.store.processes import ProcessId

SHORT_S = 1.0
"""A wait that nobody needs to be told of."""

SHARED = "shared"
"""A file in a store that more may use than the repository beside which it lies."""


class BusyError(RepoError):
    """Another process holds a folder."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of results. Worktrees of one repository share it; `git clean` cannot reach it."""

    root: Path
    is_elsewhere: bool = field(default=False, kw_only=True)
    """Whether it lies somewhere else than beside the data of the repository that uses it."""

    @classmethod
    def beside(cls, common_dir: Path, root: Path | None = None) -> Store:
        """Return the store of a repository: BGIT_STORE, or `bakery` in git's common folder.

        A relative BGIT_STORE counts from the top of the main working tree: every folder and every
        worktree means the same. `root` is the working tree's own top, which is that one where
        git's folder is elsewhere, as a submodule's; None: git's folder lies in it.
        """
        own, moved = common_dir / "bakery", os.environ.get("BGIT_STORE")
        if not moved:
            return cls(own, is_elsewhere=own.is_symlink())
        top = common_dir.parent if root is None or common_dir.name == ".git" else root
        there = top / expanded(moved)
        return cls(there, is_elsewhere=own.is_symlink() or there.resolve() != own.resolve())

    @property
    def is_shared(self) -> bool:
        """Whether other repositories may use it, too: one that does has left a mark."""
        return self.is_elsewhere or (self.root / SHARED).exists()

    def serves(self, repository: str, common_dir: Path) -> bool:
        """Tell whether what was written for `repository` is that of `common_dir`.

        A store beside git's own data serves one repository, wherever that was moved to.
        """
        return repository == str(common_dir) or self.root == common_dir / "bakery"

    def stim(self, stim_id: str) -> Path:
        """Return the folder of a set of questions."""
        return self.root / "stim" / _checked(stim_id)

    def target(self, target_id: str) -> Path:
        """Return the folder of a set of answers."""
        return self.root / "target" / _checked(target_id)

    def bake(self, bake_id: str) -> Path:
        """Return the folder of a bake."""
        return self.root / "bake" / _checked(bake_id)

    def pending(self, key: str) -> Path:
        """Return the journal of a record that is under way."""
        return self.root / "pending" / f"{key}.json"

    def journals(self) -> list[Path]:
        """Return the journals that there are."""
        return sorted((self.root / "pending").glob("*.json"))

    def size(self) -> int:
        """Return how many bytes the store takes."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(FileNotFoundError):
                    # Of thousands of files a Path each would take longest of all.
                    total += os.lstat(f"{folder}{os.sep}{name}").st_size
        return total

    def put(self, draft: Path, folder: Path) -> None:
        """Move a whole folder to its place; what lay there, begun or damaged, is kept aside."""
        self.put_aside(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(folder)
        sync_folder(folder.parent)

    def put_aside(self, folder: Path) -> Path | None:
        """Keep a folder out of its place, where nothing looks for it; return where it is now."""
        if not folder.exists():
            return None
        aside = folder.rename(self.place_aside(folder))
        sync_folder(folder.parent)
        return aside

    def place_aside(self, folder: Path) -> Path:
        """Return a free place among the replaced, named after where a folder lies."""
        name, number = "-".join(folder.relative_to(self.root).parts), 1
        while (aside := self.root / "replaced" / f"{name}-{number}").exists():
            number += 1
        aside.parent.mkdir(parents=True, exist_ok=True)
        return aside

    @contextmanager
    def lock(
        self,
        folder: Path,
        command: str,
        *,
        wait_s: float = 0,
        announce: Callable[[str], None] | None = None,
    ) -> Iterator[None]:
        """Hold a folder for one process; BusyError names who has it after `wait_s` (-1: for ever).

        The lock is the operating system's: that of a dead process is free. The file beside it
        only says who holds it. `announce` is told for whom it waits, once, where that takes long.
        """
        import filelock  # here: most commands lock nothing, and start sooner without it

        path = self._lock_path(folder)
        holder = path.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.is_elsewhere:
            (self.root / SHARED).touch()
        held = filelock.FileLock(path)
        name = folder.relative_to(self.root) if folder.is_relative_to(self.root) else folder
        try:
            held.acquire(timeout=SHORT_S if wait_s else 0)
        except filelock.Timeout:
            if announce is not None and wait_s:
                announce(f"{name} is in use{_named(holder)}: waiting for it")
            try:
                held.acquire(timeout=wait_s)
            except filelock.Timeout as error:
                raise BusyError(
                    f"{name} is in use{_named(holder)}",
                    hint="Wait for it, or stop it; what it has written is kept.",
                ) from error
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            who = {"command": command, "since": since, "process": asdict(ProcessId.own())}
            write_atomic(holder, json.dumps(who) + "\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
            held.release()

    def held_since(self, folder: Path) -> datetime | None:
        """Return since when a process has held a folder; None: none does that is known."""
        try:
            who = json_file.load_object(self._lock_path(folder).with_suffix(".json"))
            dead = ProcessId(**who["process"]).is_dead()
            return None if dead else datetime.fromisoformat(who["since"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _lock_path(self, folder: Path) -> Path:
        inside = folder.relative_to(self.root) if folder.is_relative_to(self.root) else folder
        return self.root / "locks" / ("-".join(p for p in inside.parts if p != "/") + ".lock")


@dataclass(frozen=True, slots=True)
class Beside(Store):
    """A store for what is made again; all else is read from the main one."""

    main: Store
    own: frozenset[str]
    """The ids of what is made again."""

    def stim(self, stim_id: str) -> Path:
        """Return the folder of a set of questions."""
        return self._root(stim_id) / "stim" / stim_id

    def target(self, target_id: str) -> Path:
        """Return the folder of a set of answers."""
        return self._root(target_id) / "target" / target_id

    def bake(self, bake_id: str) -> Path:
        """Return the folder of a bake."""
        return self._root(bake_id) / "bake" / bake_id

    def _root(self, name: str) -> Path:
        return self.root if name in self.own else self.main.root


def _checked(folder_id: str) -> str:
    """Return an id, or refuse what would name another folder: a recipe may be a stranger's."""
    if not folder_id or set(folder_id) - set("0123456789abcdef"):
        raise RepoError(f"{folder_id!r} is not the id of a folder in the store")
    return folder_id


def _named(holder: Path) -> str:
    """Return who holds a lock; a name that a dead process left is nobody's."""
    try:
        who = json_file.load_object(holder)
        process = ProcessId(**who["process"])
        if process.is_dead():
            return " by another process"
        return f" by `{who['command']}` ({process}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return " by another process"
