"""A verdict as it is printed: its word, in a colour too, its reason, and the worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from bakery import kept
from bakery.brief import brief
from bakery.ui.differing import pieces
from bakery.verdict import SideBySide, Verdict, Word

STYLES: Mapping[Word, str] = {
    "holds": "bold green",
    "holds in part": "bold yellow",
    "does not hold": "bold red",
}
OF_JOINED: Mapping[kept.Word, str] = {
    "as before": "bold green",
    "lost in part": "bold yellow",
    "lost": "bold red",
}
SHOWN = 3
"""Questions of a card whose answers are shown; `bgit show --json` has all that are kept."""
MARK = "bold underline"
QUESTION = 60


def line(verdict: Verdict) -> Text:
    """Return the first line of a card."""
    return Text.assemble((verdict.word, STYLES[verdict.word]), f": {verdict.reason}")


def word(verdict: Verdict) -> Text:
    """Return the word alone, for where a card is summed up."""
    return Text(verdict.word, style=STYLES[verdict.word])


def of_joined(joined: Mapping[str, Any], *, at_length: bool = True) -> Text | None:
    """Return what a bake that was put together comes to; None: nothing of it was asked."""
    found = kept.summed_up(kept.recorded(joined))
    if found is None:
        return None
    word, why = found
    return Text.assemble((word, OF_JOINED[word]), f": {why}" if at_length else "")


def answers(rows: Sequence[SideBySide]) -> Table:
    """Return the worst answers side by side; what baked and prompted do not share is marked."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows[:SHOWN]:
        table.add_row("asked", Text(f"{brief(row.question, QUESTION)}  (differs in {row.differs})"))
        if row.base:
            table.add_row("  base", Text(row.base))
        table.add_row("  prompted", _marked(row.baked, row.prompted))
        table.add_row("  baked", _marked(row.prompted, row.baked))
    return table


def alike(figures: Mapping[str, Any]) -> str:
    """Return the share of questions that are answered alike, with its 95 % interval and n."""
    share, count = figures.get("agreed"), figures.get("questions")
    if not isinstance(share, int | float) or not isinstance(count, int):
        return ""
    return f"{100 * share:.1f} %{interval(figures, 'agreed')}, of {count} questions"


def interval(figures: Mapping[str, Any], name: str) -> str:
    """Return a 95 % interval in percent behind a figure, or nothing where none was taken."""
    found = figures.get(f"{name}_interval")
    if not isinstance(found, list) or not all(isinstance(one, int | float) for one in found):
        return ""
    return f" ({' to '.join(f'{100 * value:.1f}' for value in found)})"


def _marked(reference: str, text: str) -> Text:
    if not text:
        return Text("(nothing)")
    return Text.assemble(
        *((piece, MARK if differs else "") for piece, differs in pieces(reference, text))
    )
