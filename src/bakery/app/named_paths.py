"""Names of models that may be paths: what of a name leads to a folder or a file of this machine."""

from __future__ import annotations

from pathlib import Path

from bakery.paths import expanded
from bakery.schema.model_names import GGUF


def is_file(name: str) -> bool:
    """Tell whether a name is the path of a model in one file, here or gone."""
    if name.endswith(GGUF) or not name.startswith((".", "/", "~")):
        return name.endswith(GGUF)
    try:
        return expanded(name).is_file()
    except (OSError, RuntimeError, ValueError):  # too long, a user unknown: no path at all
        return False


def folder_with(file: str, name: str) -> Path | None:
    """Return the folder of that name where it has a file; None: the name is something else."""
    try:
        folder = expanded(name)
        return folder.resolve() if (folder / file).is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, a user unknown: no path at all
        return None
