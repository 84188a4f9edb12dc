"""Verbs that are git's: the user's own git, its own options, its own exit code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from bakery.errors import RepoError


def hand_to_git(arguments: Sequence[str]) -> int:
    """Run git with the arguments as they were typed, on this terminal; return its exit code."""
    try:
        process = subprocess.Popen(["git", *arguments])
    except FileNotFoundError as error:
        raise RepoError(
            "git is not installed", hint="Install git, version 2.25 or later."
        ) from error
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue  # Git got the same signal, and decides itself what it means.
        return code if code >= 0 else 128 - code
