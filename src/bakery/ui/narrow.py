"""Tables on a terminal that is too narrow for them: nothing that is copied is broken in two."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

GAP = 2
"""Blanks between two cells."""


def breaks(table: Table, width: int) -> bool:
    """Tell whether a table as wide as the terminal would break a word."""
    needed = [_least(column, headed=table.show_header) for column in table.columns]
    return sum(needed) + GAP * (len(needed) - 1) > width


def _least(column: Column, *, headed: bool) -> int:
    """Return the columns of the terminal that a column needs, so that no word breaks."""
    cells = [*column.cells, *([column.header] if headed else [])]
    whole = (cell_len(line) for cell in cells for line in _text(cell).plain.split("\n"))
    return max(whole if column.no_wrap else map(_longest, cells), default=0)


def lines(out: Console, table: Table) -> Iterator[Text]:
    """Yield the rows of a table in lines that break between words only.

    A word that is longer than the terminal stands alone on its line: the terminal wraps it, and
    copies it whole.
    """
    rows = list(zip(*(map(_text, column.cells) for column in table.columns), strict=True))
    if table.show_header:
        heads = [_text(column.header).plain for column in table.columns]
        names = [i for i, column in enumerate(table.columns) if column.overflow == "fold"][:1]
        for row in rows:
            yield from _record(out, row, heads, names[0] if names else 0)
        return
    labels = max((cell_len(row[0].plain) for row in rows), default=0)
    for row in rows:
        yield from _pair(out, row, labels)


def between_words(text: str, width: int) -> str:
    """Return text in lines that break between words only, further ones indented."""
    return "\n".join(
        textwrap.fill(
            line.strip(),
            width,
            initial_indent=line[: len(line) - len(line.lstrip())],
            subsequent_indent=line[: len(line) - len(line.lstrip())] + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def _pair(out: Console, row: Sequence[Text], labels: int) -> Iterator[Text]:
    """Yield a label and its values: beside it, else below it."""
    label, *values = row
    value = Text("  ").join(part for part in values if part.plain)
    label.stylize("dim")
    room = out.width - labels - GAP
    if _longest(value) <= room:
        first = Text.assemble(label, " " * (labels - cell_len(label.plain) + GAP))
        yield from _hung(out, first, value, labels + GAP)
        return
    if label.plain:
        yield label
    for part in value.split("\n"):
        yield from _hung(out, Text(" " * GAP), part, GAP)


def _record(out: Console, row: Sequence[Text], heads: Sequence[str], name: int) -> Iterator[Text]:
    """Yield the name of a row, and below it what the other columns say."""
    marks = [cell for cell, head in zip(row[:name], heads, strict=False) if not head and cell.plain]
    front = Text.assemble(*marks, " ") if marks else Text("  " if name else "")
    yield Text.assemble(front, row[name])
    rest = [
        Text.assemble((f"{head} ", "dim"), cell)
        for index, (head, cell) in enumerate(zip(heads, row, strict=True))
        if index >= name and index != name and cell.plain not in ("", "-")
    ]
    if rest:
        yield from _hung(out, Text("    "), Text(", ").join(rest), 4)


def _hung(out: Console, first: Text, value: Text, indent: int) -> Iterator[Text]:
    """Yield a text behind a first part, wrapped between words, its further lines indented."""
    room = max(out.width - indent, _longest(value), 1)
    wrapped = value.wrap(out, room) or [Text()]
    for index, line in enumerate(wrapped):
        line.rstrip()
        yield Text.assemble(Text(" " * indent) if index else first, line)


def _longest(cell: object) -> int:
    return max(map(cell_len, _text(cell).plain.split()), default=0)


def _text(cell: object) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(str(cell))
