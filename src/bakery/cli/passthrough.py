"""Verbs that are git's: the user's own git, its own options, its own exit code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from bakery.cli import rim
from bakery.errors import RepoError

STDERR = 2


def hand_to_git(arguments: Sequence[str], *, out: int | None = None) -> int:
    """Run git with the arguments as they were typed, on this terminal; return its exit code.

    `out` is the number of the stream that its answer goes to, where stdout is for ours.
    """
    try:
        process = subprocess.Popen(["git", *arguments], stdout=out)
    except FileNotFoundError as error:
        raise RepoError(
            "git is not installed", hint="Install git, version 2.31 or later."
        ) from error
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue  # Git got the same signal, and decides itself what it means.
        if code:
            _show_lock()
        return code if code >= 0 else 128 - code


def _show_lock() -> None:
    """Name the lock that a git has failed at: not every verb of it says that it was that."""
    from bakery.repo import left

    told = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-path", "index.lock"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lock = Path(told.stdout.strip())
    if told.returncode == 0 and lock.exists():
        rim.show_hint(left.locked(lock))


def is_known(verb: str) -> bool:
    """Tell whether git has a verb, of its own or as an alias."""
    listed = _listed("builtins,main,others,alias")
    # Where git cannot say, it is git's verb: nothing is added to what git said.
    return listed is None or verb in listed


def verbs() -> list[str]:
    """Return the verbs that git completes, aliases too; none where it cannot say."""
    return _listed("list-mainporcelain,others,nohelpers,alias,list-complete,config") or []


def _listed(kinds: str) -> list[str] | None:
    try:
        listed = subprocess.run(
            ["git", f"--list-cmds={kinds}"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return listed.stdout.split() if listed.returncode == 0 else None
