"""`bgit test`: a line for each test, and below it the answers that are not as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from bakery.brief import brief
from bakery.ui.console import lay, open_console, say, say_at_length, show_json

if TYPE_CHECKING:
    from bakery.app.testing import Results, Row, Side

QUESTION_ROOM, LEAST_ROOM = 40, 22
"""Characters of a name and a question in the table: with all four sides it has 80 columns.

The question has the least beside a long name.
"""

ANSWER_ROOM = 400
"""Characters of an answer that are shown."""


def show_results(results: Results, *, as_json: bool = False) -> None:
    """Print what became of each test, and why."""
    if as_json:
        show_json(results.as_data())
        return
    out = open_console()
    sides: list[Side] = list(results.rows[0].answers)
    marks = [Column(side, no_wrap=True) for side in sides]
    table = Table(*_heads(results), *marks, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for row in results.rows:
        table.add_row(*_named(results, row), *(_mark(row, side) for side in sides))
    lay(out, table)
    for row in (*results.of_state("lost"), *results.of_state("prompt")):
        out.print()
        _show_answers(row)
    out.print()
    _show_summary(results)


def _heads(results: Results) -> list[Column]:
    name = [Column("test", overflow="fold")] if _has_names(results) else []
    return [*name, Column("question", overflow="fold")]


def _named(results: Results, row: Row) -> list[str]:
    """Return what a test is called, where anybody has called one, and its question."""
    if not _has_names(results):
        return [brief(row.case.asked, QUESTION_ROOM)]
    most = QUESTION_ROOM - LEAST_ROOM - 2
    longest = min(max(len(each.name) for each in results.rows), most)
    return [brief(row.name, most), brief(row.case.asked, QUESTION_ROOM - longest - 2)]


def _has_names(results: Results) -> bool:
    return any(row.case.name for row in results.rows)


def _mark(row: Row, side: Side) -> Text:
    if row.passes(side):
        return Text("passes", style="green")
    if side != "baked" or "prompted" not in row.answers:
        return Text("fails", style="yellow")
    is_lost = row.state == "lost"
    return Text("LOST", style="bold red") if is_lost else Text("prompt's", style="yellow")


def _show_answers(row: Row) -> None:
    """Print why a test is not passed, and the answers that show it."""
    out = open_console()
    title = Text(f"{row.name}: {brief(row.case.asked, 60)}", style="bold")
    out.print(title, soft_wrap=True)
    for one in row.lost:
        has = "; the prompted model passes" if "prompted" in row.answers else ""
        say_at_length(f"  {one.check}: {one.why}{has}")
    for one in row.of_prompt:
        say_at_length(f"  {one.check}: {one.why}; the prompted model fails it: it is the prompt's")
    shown = [side for side in row.answers if side in ("prompted", "baked")]
    talk = row.talk(shown or list(row.answers))
    for who, said in list(talk)[len(row.case.turns) == 1 :]:  # one question is the title
        say_at_length(f"  {who:<9} {brief(said, ANSWER_ROOM)}")


def _show_summary(results: Results) -> None:
    lost, of_prompt = results.of_state("lost"), results.of_state("prompt")
    count = len(results.rows)
    held = count - len(lost) - len(of_prompt)
    of = f"{results.file} of HEAD ({results.blob[:10]})" if results.blob else results.file
    say(f"{results.model}, {of}")
    told = f"{held} of {count} tests passed"
    if lost:
        told += f", {len(lost)} {'lost' if 'prompted' in lost[0].answers else 'failed'}"
    if of_prompt:
        told += f", {len(of_prompt)} that the prompted model itself fails"
        told += ": change the prompt, or the test"
    say_at_length(f"{told}.")
