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


def plain(table: Table, width: int) -> list[str] | None:
    """Return the lines of a table as text, where no cell needs more than one; None: some do.

    It says what rich would print, in a tenth of the time: of a long history there are many rows.
    """
    if table.box is not None or table.title or table.padding != (0, GAP, 0, 0) or table.pad_edge:
        return None
    columns: list[list[str]] = []
    for column in table.columns:
        if column.justify != "left" or column.ratio or column.max_width or column.min_width:
            return None
        cells = [column.header, *column.cells] if table.show_header else list(column.cells)
        texts = [_text(cell).plain for cell in cells]
        widest = column.width or max(map(cell_len, texts), default=0)
        if any("\n" in text or "\t" in text or cell_len(text) > widest for text in texts):
            return None
        columns.append([text + " " * (widest - cell_len(text)) for text in texts])
    rows = [(" " * GAP).join(row).rstrip() for row in zip(*columns, strict=True)]
    widths = [cell_len(column[0]) if column else 0 for column in columns]
    return rows if sum(widths) + GAP * (len(columns) - 1) <= width else None


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
