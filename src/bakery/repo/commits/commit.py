"""One commit of given files, through an index of its own; then index and folder follow.

What the user has staged stays staged and is not in the commit, and nothing is touched before
git's own `commit`, with the user's hooks and signing, has succeeded.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from bakery.errors import RepoError
from bakery.repo.git import Change, Git
from bakery.reporting import Reporter

_LEFTOVER_AGE_S = 86_400


def make(git: Git, head: str, files: Mapping[str, str], message: str) -> str:
    """Commit `files` (path: blob id) on top of `head`; return the commit."""
    _remove_leftovers(git)
    # Not by the process's number: another container's process has the same.
    index = git.git_dir / f"bakery-index.{secrets.token_hex(8)}"
    try:
        git.run("read-tree", head, index=index)
        git.update_index(
            [Change(path, "", blob, "100644") for path, blob in files.items()], index=index
        )
        git.commit(message, index=index)
    finally:
        index.unlink(missing_ok=True)
    return _verified(git, head, files)


def refresh(git: Git, before: str, after: str, own: tuple[str, ...], reporter: Reporter) -> None:
    """Take index and folder from one commit to the next, wherever they still hold the first.

    In the folder only the `own` paths are written. Running it again changes nothing.
    """
    changes = git.changes(before, after)
    if not changes:
        return
    staged = git.staged([change.path for change in changes])
    git.update_index([c for c in changes if _same(staged.get(c.path), c.old)])
    staged = git.staged(own)
    written: list[str] = []
    for change in changes:
        if change.path not in own:
            continue
        here = git.in_folder(change.path)
        if here == change.old and staged.get(change.path) == change.new:
            written.append(change.path)
        elif here != change.new:
            reporter.note(f"{change.path} has edits of yours and is left as it is")
    if written:
        git.run("checkout-index", "-q", "-f", "-u", "--", *written)


def _verified(git: Git, head: str, files: Mapping[str, str]) -> str:
    """Return the commit that was put on `head`, or take it back where it is not what was asked.

    A hook may have rewritten the files, or another process committed in the same moment.
    """
    made = git.run("rev-list", "--reverse", "--first-parent", f"{head}..HEAD").split("\n")[0]
    if made and git.ids([f"{made}:{path}" for path in files]) == list(files.values()):
        return made
    last = git.run("rev-parse", "HEAD")
    if last != head:
        git.run("update-ref", "-m", "bgit: take back", "HEAD", f"{last}^", last)
    raise RepoError(
        "the commit did not contain what bgit put into it, and was undone",
        hint="A hook changed the files (one that runs `git add -u`?), or something else committed "
        "at the same moment.",
    )


def _remove_leftovers(git: Git) -> None:
    """Delete what killed processes left; never a file that a running commit may still read."""
    for path in git.git_dir.glob("bakery-index.*"):
        if time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
            path.unlink(missing_ok=True)


def _same(staged: str | None, old: str) -> bool:
    return staged == old if staged is not None else set(old) == {"0"}
