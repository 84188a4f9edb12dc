"""The rows of a data file that is in memory, each with the place where it stands."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from bakery.data import sources


def rows(data: bytes, name: str, split: str) -> list[tuple[str, Any]]:
    """Return the rows of a split as `from_dataset` reads them; of lines of text, none."""
    if PurePosixPath(name).suffix.lower() == ".txt":
        return []
    table = sources.read_bytes(data, name, split)
    return [(table.where(number), record) for number, record in table.records]
