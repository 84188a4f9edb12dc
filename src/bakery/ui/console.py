"""What commands answer: tables, trees and cards on a terminal, plain text in a pipe, or JSON.

Deciding what is true is done below; here it is only laid out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery import records
from bakery.ui.chart import chart, number
from bakery.ui.progress import duration

PIPE_WIDTH = 1000
"""Nothing is wrapped or cut in a pipe: programs read it."""

PAGE_WIDTH = 80
"""Where text is meant to be read as a page, terminal or not."""

FEW_HELD_OUT = 20


def say(text: str) -> None:
    """Print text as it is, without wrapping it."""
    _out().print(text, soft_wrap=True)


def note(text: str) -> None:
    """Announce something beside the answer, on stderr."""
    print(f"note: {text}", file=sys.stderr)


def show_json(value: Any) -> None:
    """Print data as JSON; a model's name is its full name."""
    print(json.dumps(_data(value), indent=2, ensure_ascii=False))


def show_card(
    card: Mapping[str, Any], *, model: str | None = None, seconds: Mapping[str, float] | None = None
) -> None:
    """Print what a bake's card says: is the baked model the prompted one?"""
    out = _out()
    if model:
        out.print(Text(model, style="bold green"), soft_wrap=True)
    table = _pairs()
    for label, value in card_rows(card, seconds or {}, arrow=_arrow(out)):
        table.add_row(label, value)
    out.print(table)


def card_rows(
    card: Mapping[str, Any], seconds: Mapping[str, float], *, arrow: str = "→"
) -> list[tuple[str, str]]:
    """Return a card as (label, text) pairs; percentages only where enough was held out."""
    held_out = card["held_out"]
    rows = [
        (
            "KL to the prompted teacher",
            f"{number(card['kl_before'])} {arrow} {number(card['kl_after'])} nats per token",
        )
    ]
    if held_out >= FEW_HELD_OUT:
        if card.get("gap_closed") is not None:
            rows.append(("gap closed", f"{100 * card['gap_closed']:.1f} %"))
        rows.append(("same first choice", f"{100 * card['top1_agreement']:.1f} % of tokens"))
    rows += [
        ("prompt tokens saved", f"{card['prompt_tokens_saved']} per request"),
        ("measured on", _measured_on(held_out, card.get("tokens"))),
    ]
    if seconds:
        rows.append(("time", ", ".join(f"{stage} {duration(s)}" for stage, s in seconds.items())))
    return rows


def show_answers(rows: Sequence[tuple[str, str, str]]) -> None:
    """Print (question, who, answer) rows; a question is shown once for all who answered it."""
    out = _out(width=None if sys.stdout.isatty() else PAGE_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("question", ratio=5, style="cyan")
    table.add_column("who", no_wrap=True)
    table.add_column("answer", ratio=8)
    last = None
    for question, who, answer in rows:
        if last is not None and question != last:
            table.add_row()
        table.add_row("" if question == last else question, who, answer.strip())
        last = question
    out.print(table)


def show_rows(
    rows: Sequence[records.Stimulus] | Sequence[records.Trajectory],
    *,
    questions: Mapping[str, records.Stimulus] | None = None,
    limit: int | None = None,
    count: bool = False,
    as_json: bool = False,
) -> None:
    """Print stimuli, or trajectories under the questions they answer."""
    shown = rows[:limit]
    if count:
        say(json.dumps({"count": len(rows)}) if as_json else str(len(rows)))
    elif as_json:
        show_json([_with_question(row, questions or {}) for row in shown])
    else:
        for index, row in enumerate(shown, start=1):
            _show_row(index, row, questions or {})
        if len(shown) < len(rows):
            note(f"{len(shown)} of {len(rows)} shown")


def show_metrics(name: str, points: Sequence[Any], *, as_json: bool = False) -> None:
    """Print a loss curve, with the first, the last and the smallest loss."""
    if as_json:
        show_json({"bake": name, "metrics": list(points)})
        return
    out = _out()
    losses = [point.loss for point in points]
    out.print(Text(name, style="bold"), soft_wrap=True)
    out.print(chart([(p.step, p.loss) for p in points], solid="█" if _is_unicode(out) else "#"))
    out.print(
        f"first {number(losses[0])}   last {number(losses[-1])}   min {number(min(losses))}"
        f"   ({len(losses)} steps, KL in nats per token)"
    )


def _show_row(
    index: int,
    row: records.Stimulus | records.Trajectory,
    questions: Mapping[str, records.Stimulus],
) -> None:
    out = _out()
    if isinstance(row, records.Stimulus):
        out.print(
            Text.assemble((f"{index:>4}  ", "dim"), records.user_text(row.messages)), soft_wrap=True
        )
        return
    asked = questions.get(row.stimulus_id)
    question = records.user_text(asked.messages) if asked else f"(question {row.stimulus_id})"
    out.print(Text.assemble((f"{index:>4}  ", "dim"), (question, "cyan")), soft_wrap=True)
    cut = "" if row.finish == "stop" else f"  [{row.finish}]"
    out.print(Text.assemble("      ", row.text.strip(), (cut, "yellow")), soft_wrap=True)


def _with_question(row: Any, questions: Mapping[str, records.Stimulus]) -> dict[str, Any]:
    data = asdict(row)
    asked = questions.get(data.get("stimulus_id", ""))
    return {"question": records.user_text(asked.messages)} | data if asked else data


def _measured_on(held_out: int, tokens: int | None) -> str:
    text = f"{held_out} held-out questions" + (f", {tokens} tokens" if tokens else "")
    return text if held_out >= FEW_HELD_OUT else f"{text} (n < {FEW_HELD_OUT}: no percentages)"


def _data(value: Any) -> Any:
    if isinstance(value, records.ModelRef | Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _data(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_data(item) for item in value]
    return value


def _out(*, width: int | None = None) -> Console:
    """Return the console for stdout as it is now (a test or a caller may have redirected it)."""
    terminal = sys.stdout.isatty()
    return Console(
        width=width if terminal or width else PIPE_WIDTH, markup=False, highlight=False, emoji=False
    )


def _pairs() -> Table:
    """Return a table of labels and values, without lines."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _is_unicode(out: Console) -> bool:
    return not out.options.ascii_only


def _arrow(out: Console) -> str:
    return "→" if _is_unicode(out) else "->"
