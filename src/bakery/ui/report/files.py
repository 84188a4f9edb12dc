"""Where a report goes: a file of its own, and never over something else."""

from __future__ import annotations

import sys
from pathlib import Path

from bakery.app.report import Report
from bakery.errors import ConfigError, RepoError, StageError
from bakery.masking import masked
from bakery.paths import expanded
from bakery.records import write_atomic
from bakery.ui.report.page import marks, page

HEAD = 8_192
"""Bytes of a file in which its marks stand, where it is a report."""


def write(found: Report, out: Path | None = None, *, force: bool = False) -> Path:
    """Write the page and return where; what is no report of that model stays without `force`.

    `out` None: in the current folder, under the bake's name.
    """
    path = expanded(out if out is not None else f"{found.described.bake.name}.html")
    check_free(path, str(found.described.bake.model), force=force)
    content = page(found)
    try:
        write_atomic(path, content)
    except OSError as error:
        raise StageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def print_page(found: Report) -> None:
    """Print the page, and nothing else."""
    sys.stdout.write(masked(page(found), data=True))
    sys.stdout.flush()


def check_free(path: Path, model: str, *, force: bool) -> None:
    """Refuse a place that is taken by anything but an earlier report of the same model."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.absolute().parent}", hint="Create it first.")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="Name a file with --out.")
    if force or not (path.exists() or path.is_symlink()) or _is_of(path, model):
        return
    raise RepoError(
        f"{path} exists, and is no report of {model}",
        hint="--force replaces it; --out names another place.",
    )


def _is_of(path: Path, model: str) -> bool:
    """Tell whether a file is a report of a model."""
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        head = file.read(HEAD).decode("utf-8", "replace")
    return all(mark in head for mark in marks(model))
