"""Any of our objects as plain data: what `--json` prints, and what a program is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from bakery.records import ModelRef

SCHEMA = 1
"""The form of what `--json` prints; a key may be added in it, none changes what it means."""


class Plain:
    """A frozen object that `--json` prints as it stands: every field by its name."""

    __slots__ = ()

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        found: dict[str, Any] = plain(self)
        return found


def document(value: Any) -> Any:
    """Return what `--json` prints of a value: plain data, each object of which says its `schema`.

    A list stays a list, for the programs that read one: its entries say it.
    """
    data = plain(value)
    if isinstance(data, list):
        return [document(entry) for entry in data]
    return {"schema": SCHEMA, **data} if isinstance(data, dict) else data


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; a model is its full name, a path its text."""
    if isinstance(value, ModelRef | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value
