"""Pointers of git-lfs: what a clone without git-lfs has in place of a file."""

from __future__ import annotations

from pathlib import Path

START = b"version https://git-lfs.github.com/spec/"
MOST_BYTES = 1024
"""A pointer is shorter than this, says its specification."""
PULL = "`git lfs pull` in its repository fetches the file (once: `git lfs install`)."


def is_pointer(data: bytes) -> bool:
    """Tell whether the whole of a file is a pointer to another."""
    return data.startswith(START) and len(data) < MOST_BYTES


def lies_at(path: Path) -> bool:
    """Tell whether a pointer lies where a file should; what cannot be read is none."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            return is_pointer(file.read(MOST_BYTES))
    except OSError:
        return False
