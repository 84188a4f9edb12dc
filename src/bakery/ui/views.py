"""A dry run to look at: what teacher and student see of some rows, with what is learnt marked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bakery.previews import Estimate, Piece, Preview, ShownRow, Side
from bakery.ui.console import is_unicode, lay, open_console, pairs, say
from bakery.ui.status import size
from bakery.ui.times import duration

LONGEST = 1200
"""Characters of a stretch that are shown; the middle of a longer one is left out."""
_TARGET = "bold black on green"


def show(preview: Preview) -> None:
    """Print some rows, the counts of all, and what training would take."""
    out = open_console()
    for row in preview.shown:
        _show_row(out, row, "student" if preview.on_policy else "teacher")
    say("")
    table = pairs()
    table.add_row("model", Text(preview.model, style="bold"))
    table.add_row("rows", _rows(preview))
    most = "at most " if preview.open_rows else ""
    table.add_row(
        "tokens",
        f"{most}{preview.teacher_tokens:,} for the teacher, {preview.student_tokens:,} for the "
        f"student, {preview.targets:,} to learn",
    )
    table.add_row("steps", f"{preview.steps:,}")
    for label, text in _costs(preview.estimate, preview.device):
        table.add_row(label, text)
    lay(out, table)
    say("\nNothing was trained, and nothing was written.")


def _show_row(out: Console, row: ShownRow, answered_by: str) -> None:
    part = f", part {row.part} of {row.parts}" if row.parts > 1 else ""
    say("")
    out.print(Text(f"row {row.number}{part}", style="bold"))
    for name, side in (("teacher", row.teacher), ("student", row.student)):
        out.print(Text.assemble((name, "cyan"), (f"  {_counted(side, row)}", "dim")))
        lay(out, Padding(_text(out, side, answered_by if row.is_open else None), (0, 0, 0, 2)))


def _counted(side: Side, row: ShownRow) -> str:
    ahead = " before the answer" if row.is_open else f", {side.targets} to learn"
    return f"{side.tokens} tokens{ahead}"


def _text(out: Console, side: Side, answered_by: str | None) -> Text:
    """Return a view; of an open row, who is to answer it stands in the answer's place."""
    text = Text()
    for piece in side.pieces:
        _add(out, text, piece)
    if answered_by is not None:
        text.append(_marked(out, f"the {answered_by}'s answer"), style=_TARGET)
    text.rstrip()
    return text


def _add(out: Console, text: Text, piece: Piece) -> None:
    shown = _cut(piece.text)
    if not piece.is_target:
        text.append(shown, style="dim")
    else:
        text.append(_marked(out, shown), style=_TARGET)


def _marked(out: Console, text: str) -> str:
    """Return a target as it is shown: colour says it on a terminal, brackets say it elsewhere."""
    if out.is_terminal and out.color_system:
        return text
    left, right = ("⟦", "⟧") if is_unicode(out) else ("[[", "]]")
    return f"{left}{text}{right}"


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters …\n{text[-half:]}"


def _rows(preview: Preview) -> str:
    text = f"{preview.used} of {preview.rows}"
    if preview.open_rows:
        who = "student" if preview.on_policy else "teacher"
        text += f", {preview.open_rows} for the {who} to answer ({preview.answers:,} answers)"
    return text


def _costs(estimate: Estimate, device: str) -> Sequence[tuple[str, str]]:
    seconds = estimate.seconds
    return [
        ("weights", f"{_count(estimate.parameters)}, and {_count(estimate.trainable)} of LoRA"),
        (
            "memory",
            f"roughly {size(estimate.memory)}: Python {size(estimate.process)}, weights "
            f"{size(estimate.weights)}, adapter and optimiser {size(estimate.adapter)}, largest "
            f"batch {size(estimate.batch)}",
        ),
        (
            "time",
            f"roughly {duration(seconds) if seconds >= 1 else 'a second'} or more on this {device} "
            f"({estimate.rate / 1e9:,.0f} GFLOP/s in products of matrices)",
        ),
    ]


def _count(number: int) -> str:
    """Return a number of weights as people say it: 1.7 M."""
    for unit, factor in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return str(number)
