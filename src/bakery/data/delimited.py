"""Tables in text: columns divided by commas, tabs, or whatever the first line has.

A cell may hold line breaks; a first line names the columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from bakery.data.columns import KNOWN
from bakery.errors import StageError

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_EXCEL = re.compile(r"sep=(.)\r?\n")
"""The line that Excel writes in front of a table."""


def records(
    text: str, name: str, delimiter: str
) -> tuple[tuple[tuple[int, Any], ...], tuple[str, ...]]:
    """Return the rows of a table in text, and what is to be said of how it was read."""
    csv.field_size_limit(2**31 - 1)
    found, notes = [], []
    try:
        excel = _EXCEL.match(text)
        usual, delimiter = delimiter, excel[1] if excel else _delimiter(text, delimiter)
        if delimiter != usual:
            shown = _DELIMITERS.get(delimiter, repr(delimiter))
            notes.append(f"{name}: its columns are divided by {shown}")
        lines = io.StringIO(text[excel.end() :] if excel else text, newline="")
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = next(filter(None, reader), [])
        for number, cells in enumerate(filter(None, reader), start=1):
            if len(cells) != len(header):
                raise StageError(
                    f"{name}:{reader.line_num + bool(excel)}: does not have as many columns as "
                    "the first line names",
                    hint="A text with the mark between columns or a line break in it needs quotes.",
                )
            found.append((number, _record(header, cells, f"{name}:{reader.line_num}")))
    except csv.Error as error:
        raise StageError(f"{name}:{reader.line_num}: not CSV: {error}") from error
    return tuple(found), tuple(notes)


def _record(header: Sequence[str], cells: Sequence[str], at: str) -> dict[str, str | None]:
    """Return a line of a table. An empty cell is no value: CSV has no other way to say so.

    Of columns of one name the last counts; another value of the others keeps its place as a name.
    """
    record: dict[str, str | None] = {}
    for place, (key, cell) in enumerate(zip(header, cells, strict=True), start=1):
        value = cell or None
        if value is None and key in record:
            continue
        if record.get(key) not in (None, value):
            if key in KNOWN:
                raise StageError(
                    f"{at}: two columns are called `{key}`, and say different things",
                    hint="Rename one of them in the first line, or delete it.",
                )
            record[f"{key} (another than column {place})"] = record[key]
        record[key] = value
    return record


def _delimiter(text: str, usual: str) -> str:
    """Return what divides the columns: another sign where the first line has none of the usual."""

    def columns(sign: str) -> int:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
        try:
            return len(next(filter(None, reader), []))
        except csv.Error:
            return 0

    counts = {sign: columns(sign) for sign in (usual, *_DELIMITERS)}
    return usual if counts[usual] > 1 else max(counts, key=lambda sign: counts[sign])
