"""Git as a process: the user's own, in the user's own surroundings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bakery.errors import RepoError
from bakery.repo import left

# Set by git for its hooks: they would point a call at another repository, index or pathspec.
_FOREIGN = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip


def checked(
    arguments: Sequence[str],
    *,
    cwd: Path,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """Return what git prints; RepoError, with its own words, where it fails."""
    done = call(arguments, cwd=cwd, stdin=stdin, extra=extra)
    if done.returncode == 0:
        return done.stdout
    words = os.fsdecode(done.stderr or done.stdout).strip().removeprefix("fatal: ")
    if "not a git repository" in words:
        raise RepoError(
            f"{cwd} is not in a git repository",
            hint="Make one with `bgit init <name>`, or change to one.",
        )
    if "must be run in a work tree" in words:
        raise RepoError(
            f"{cwd} is a bare repository, or inside a .git folder: it has no input.yml to bake",
            hint="Go into a working tree of it; `git clone` or `git worktree add` makes one.",
        )
    if "dubious ownership" in words:
        raise RepoError(
            f"git refuses to work in {cwd}: it belongs to another user",
            hint="Where you trust it: `git config --global --add safe.directory "
            f"{words.split('safe.directory ')[-1].strip()}`.",
        )
    left.refuse_locked(words)
    # Before the verb are options alone; what `-c` sets has an equals sign.
    verb = next((a for a in arguments if not a.startswith("-") and "=" not in a), "")
    raise RepoError(f"git {verb}: {words or f'exit status {done.returncode}'}")


def call(
    arguments: Sequence[str],
    *,
    cwd: Path,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end; whatever its exit status is, it is an answer."""
    try:
        return subprocess.run(
            argv(arguments),
            cwd=cwd,
            check=False,
            input=stdin,
            capture_output=True,
            env=environment(extra or {}, locale=True),
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise RepoError(f"there is no folder {cwd}") from error
        raise RepoError(
            "git is not installed, or not on PATH",
            hint="Install git (https://git-scm.com) and try again.",
        ) from error


def argv(arguments: Sequence[str]) -> list[str]:
    """Return the words of a command line."""
    return ["git", *arguments]


def environment(extra: Mapping[str, str], *, locale: bool) -> dict[str, str]:
    """Return the user's environment, less what git sets for hooks.

    `locale`: answer in English. Not for commits: hooks inherit what is set here.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    words = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"} if locale else {}
    return kept | words | dict(extra)
