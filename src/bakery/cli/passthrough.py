"""Verbs that are git's: the user's own git, its own options, its own exit code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from bakery.errors import RepoError

NO_SUCH_VERB = 1
"""How git ends where it does not know a verb; many verbs use the same code for themselves."""


def hand_to_git(arguments: Sequence[str]) -> int:
    """Run git with the arguments as they were typed, on this terminal; return its exit code."""
    try:
        process = subprocess.Popen(["git", *arguments])
    except FileNotFoundError as error:
        raise RepoError(
            "git is not installed", hint="Install git, version 2.31 or later."
        ) from error
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue  # Git got the same signal, and decides itself what it means.
        return code if code >= 0 else 128 - code


def is_known(verb: str) -> bool:
    """Tell whether git has a verb, of its own or as an alias."""
    listed = subprocess.run(
        ["git", "--list-cmds=builtins,main,others,alias"],
        capture_output=True,
        text=True,
        check=False,
    )
    # Where git cannot say, it is git's verb: nothing is added to what git said.
    return listed.returncode != 0 or verb in listed.stdout.split()
