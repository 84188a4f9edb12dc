"""Lines over steps in plain text: with axes, in dots of Braille where the terminal has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

from bakery.ui.axes import Axis, Pairs, thinned

ROWS = 15
STEP = "step"
COLOURS = ("green", "cyan", "magenta", "yellow", "blue", "red")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

BRAILLE = 0x2800
# Which bit of a Braille sign is which dot: by column, then from above.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


@dataclass(frozen=True, slots=True)
class Look:
    """What the terminal can show."""

    width: int = 80
    unicode: bool = True
    colour: bool = False

    def has_dots(self, lines: int) -> bool:
        """Tell whether lines are drawn in dots; several without colour have to be letters."""
        return self.unicode and (lines == 1 or self.colour)


def chart(lines: Sequence[Pairs], look: Look, *, mark: int | None = None) -> Text:
    """Return lines of (step, value) pairs as one picture; `mark` is a step to draw a line at."""
    y = Axis.over([v for pairs in lines for _, v in pairs], ticks=6, from_zero=True)
    labels = y.labels
    margin = max(len(STEP), *map(len, labels))
    columns = max(look.width - margin - 3, 10)
    x = Axis.of_steps([s for pairs in lines for s, _ in pairs], ticks=max(columns // 12, 1))
    cells = _drawn(lines, x, y, columns, look)
    if mark is not None and x.low <= mark <= x.high:
        _mark(cells, round(x.place(mark) * (columns - 1)), "┊" if look.unicode else ":")
    at = {_row(y.place(tick)): label for tick, label in zip(y.ticks, labels, strict=True)}
    side, tee, corner, floor, foot = "│┤└─┬" if look.unicode else "|++-+"
    picture = Text(no_wrap=True, end="")
    for row in range(ROWS):
        label = at.get(row)
        picture.append(f"{label or '':>{margin}} {tee if label else side}", "dim")
        filled = max((i + 1 for i, cell in enumerate(cells[row]) if cell), default=0)
        for cell in cells[row][:filled]:
            picture.append(*(cell or (" ", "")))
        picture.append("\n")
    marked = {round(x.place(tick) * (columns - 1)) for tick in x.ticks}
    bottom = "".join(foot if i in marked else floor for i in range(columns))
    picture.append(f"{'':>{margin}} {corner}{bottom}\n", "dim")
    picture.append(f"{STEP:>{margin}}  {_under(x, columns)}\n", "dim")
    return picture


def key(index: int, look: Look, lines: int) -> Text:
    """Return the sign by which one of several lines is known."""
    sign = "━━" if look.has_dots(lines) else LETTERS[index % len(LETTERS)]
    return Text(sign, COLOURS[index % len(COLOURS)])


Cells = list[list[tuple[str, str] | None]]


def _drawn(lines: Sequence[Pairs], x: Axis, y: Axis, columns: int, look: Look) -> Cells:
    cells: Cells = [[None] * columns for _ in range(ROWS)]
    dotted = look.has_dots(len(lines))
    wide, high = (2, 4) if dotted else (1, 1)
    for index, pairs in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        bits: dict[tuple[int, int], int] = {}
        for column, row in _dots(thinned(pairs, columns * wide), x, y, columns * wide, ROWS * high):
            cell = row // high, column // wide
            bits[cell] = bits.get(cell, 0) | _BITS[column % wide][row % high]
        letter = LETTERS[index % len(LETTERS)] if len(lines) > 1 else "*"
        for (row, column), found in bits.items():
            cells[row][column] = (chr(BRAILLE + found) if dotted else letter, colour)
    return cells


def _dots(pairs: Pairs, x: Axis, y: Axis, columns: int, rows: int) -> set[tuple[int, int]]:
    """Return the (column, row) of every dot on the lines between the pairs."""
    at = [
        (round(x.place(step) * (columns - 1)), round((1 - y.place(value)) * (rows - 1)))
        for step, value in pairs
    ]
    dots = set(at)
    for (left, above), (right, below) in pairwise(at):
        length = max(abs(right - left), abs(below - above))
        for i in range(1, length):
            share = i / length
            dots.add((round(left + share * (right - left)), round(above + share * (below - above))))
    return dots


def _mark(cells: Cells, column: int, sign: str) -> None:
    for row in cells:
        if row[column] is None:
            row[column] = (sign, "yellow")


def _row(place: float) -> int:
    return round((1 - place) * (ROWS - 1))


def _under(x: Axis, columns: int) -> str:
    """Return the marked steps below their places, as many as do not touch."""
    line = ""
    for tick, label in zip(x.ticks, x.labels, strict=True):
        start = round(x.place(tick) * (columns - 1)) - len(label) // 2
        start = max(0, min(start, columns - len(label)))
        if not line or start > len(line):
            line = line.ljust(start) + label
    return line


def number(value: float | None) -> str:
    """Return a loss or divergence with the digits that mean something."""
    if value is None:
        return "-"
    if value != 0 and abs(value) < 0.001:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3f}"
