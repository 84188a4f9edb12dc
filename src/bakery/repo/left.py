"""What a git that was killed leaves behind, and the command that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from bakery.errors import RepoError
from bakery.store.drafts import is_old

_LOCKED = re.compile(r"Unable to create '([^'\n]+\.lock)': File exists")


def refuse_locked(words: str) -> None:
    """Raise RepoError where git says that it stands before a lock of its own."""
    if found := _LOCKED.search(words):
        lock = Path(found[1])
        raise RepoError(f"git is at work here, or was killed: {lock} is there", hint=locked(lock))


def locked(lock: Path) -> str:
    """Return what to do about a lock of git."""
    return (
        f"{lock} is there. Where no git works in this repository (an editor's counts, too): "
        f"`rm {quote(str(lock))}`. Nothing is lost by that."
    )


def told(root: Path, git_dir: Path) -> Iterator[str]:
    """Yield a sentence for each thing that was left in a working tree, and does harm there."""
    lock = git_dir / "index.lock"
    if is_old(lock):
        yield f"{lock} is left of a git that was killed: `rm {quote(str(lock))}` lets git go on"
    drafts = [*root.glob(".merge_file_*"), *root.glob(".*.tmp")]
    if drafts := sorted(path for path in drafts if path.is_file() and is_old(path)):
        names = [quote(path.name) for path in drafts]
        shown = " ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
        yield f"left of a process that was killed, to be deleted: `rm {shown}`"


_NAMED = 5
