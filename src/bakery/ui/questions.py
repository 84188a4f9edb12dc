"""`bgit stim` and `bgit rollout`: the shares of the mix, questions, and answers under them."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery.errors import ConfigError
from bakery.records import user_text, write_atomic
from bakery.repo.look.questions import Answers, Questions, Share
from bakery.ui.console import (
    PIPE_WIDTH,
    json_text,
    note,
    open_console,
    say,
    show_json,
    show_json_line,
)
from bakery.ui.harmless import harmless
from bakery.variables import shown


@dataclass(frozen=True, slots=True)
class Form:
    """In what form rows are shown, and where."""

    count: bool = False
    as_json: bool = False
    out: Path | None = None


def show_stimuli(found: Questions, form: Form) -> None:
    """Show the shares of a target's mix, then its questions."""
    flat = [
        {"question": user_text(r.messages), "generator": r.generator, "writer": r.writer,
         "id": r.id, **({"values": shown(r.values)} if r.values else {})}
        for r in found.rows
    ]  # fmt: skip

    def text(out: Console) -> None:
        if found.shares:
            out.print(_share_table(found.shares))
            for share in found.shares:
                if share.is_poor:
                    out.print(Text(_poor(share), "yellow"), soft_wrap=True)
            out.print()
        for number, row in enumerate(found.rows, start=found.offset + 1):
            behind = "  [answered under the student prompt]" if row.rollout_with else ""
            behind += f"  [{shown(row.values)}]" if row.values else ""
            out.print(
                Text.assemble((f"{number:>4}  ", "dim"), user_text(row.messages), (behind, "dim")),
                soft_wrap=True,
            )

    _show(found, flat, text, form)


def show_answers(found: Answers, form: Form) -> None:
    """Show how the answers ended and how long they are, then each under its question."""
    entries = found.entries()
    flat = [
        {key: e[key] for key in ("question", "text", "finish", "tokens", "model", "sample")}
        | ({"values": shown(e["values"])} if "values" in e else {})
        for e in entries
    ]

    def text(out: Console) -> None:
        if found.count:
            many = "answer" if found.count == 1 else "answers"
            told = f"{found.tokens} tokens, {_ends(found.finish)}"
            out.print(f"{found.count} {many} by {', '.join(found.models)}: {told}\n")
        for number, entry in enumerate(entries, start=found.offset + 1):
            _show_answer(out, number, entry)

    _show(found, flat, text, form)


def _show(
    found: Questions | Answers,
    flat: Sequence[Mapping[str, Any]],
    text: Callable[[Console], None],
    form: Form,
) -> None:
    if form.count:
        if form.as_json:
            show_json_line({"count": found.count})
        else:
            say(str(found.count))
        return
    shown = f"{len(found.rows)} of {found.count}"
    if form.out is not None:
        write_atomic(form.out, _file_text(form.out, found, flat, text, as_json=form.as_json))
        note(f"{shown} written to {form.out}")
        return
    if form.as_json:
        show_json(found.as_data())
        return
    if sys.stdout.isatty():
        text(open_console())
    else:
        print(harmless(_drawn(text)), end="")
    if len(found.rows) < found.count:
        note(f"{shown} shown" + (f", from {found.offset + 1}" * bool(found.offset)))


def _file_text(
    path: Path,
    found: Questions | Answers,
    flat: Sequence[Mapping[str, Any]],
    text: Callable[[Console], None],
    *,
    as_json: bool,
) -> str:
    if path.exists():
        raise ConfigError(f"{path} exists already", hint="Choose another name, or move it away.")
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.entries())
    if suffix == ".csv":
        return _csv(flat)
    if suffix == ".json" or as_json:
        return json_text(found.as_data()) + "\n"
    return _drawn(text)


def _drawn(text: Callable[[Console], None]) -> str:
    """Return what is shown as plain text, without the blanks that fill a table's last column."""
    file = io.StringIO()
    text(Console(file=file, width=PIPE_WIDTH, markup=False, highlight=False, emoji=False))
    return "".join(line.rstrip() + "\n" for line in file.getvalue().rstrip("\n").split("\n"))


def _csv(flat: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(flat[0]) if flat else ["question"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return file.getvalue()


def _share_table(shares: Sequence[Share]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("generator", no_wrap=True)
    table.add_column("from", overflow="fold")
    table.add_column("writer", overflow="fold")
    is_judged = any(share.usable is not None for share in shares)
    for name in ("wanted", "got", "share", *["usable"] * is_judged):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("left out", overflow="fold")
    for share in shares:
        table.add_row(
            share.generator,
            share.source or "-",
            ", ".join(share.writers) or "-",
            "all" if share.wanted is None else str(share.wanted),
            str(share.got),
            f"{100 * share.share:.0f} %",
            *[_usable(share)] * is_judged,
            ", ".join(f"{n} {why}" for why, n in share.left_out.items()) or "-",
        )
    return table


def _poor(share: Share) -> str:
    writer = ", ".join(share.writers) or "the model"
    return (
        f"Fewer than half of what {writer} said are messages to send. Other ways to get questions: "
        "another `model`, hardcoded, from_dataset, persona. `bgit run --allow questions` goes on."
    )


def _usable(share: Share) -> str:
    return "-" if share.usable is None else f"{share.usable} of {share.judged}"


def _show_answer(out: Console, number: int, entry: Mapping[str, Any]) -> None:
    row = f"  [{shown(entry['values'])}]" if entry.get("values") else ""
    asked = ((f"{number:>4}  ", "dim"), (entry["question"], "cyan"), (row, "dim"))
    out.print(Text.assemble(*asked), soft_wrap=True)
    cut = _ENDS.get(entry["finish"], entry["finish"])
    told = f"  [{entry['tokens']} tokens" + (f", {cut}]" if cut else "]")
    style = "yellow" if entry["finish"] == "length" else "dim"
    out.print(Text.assemble("      ", entry["text"].strip(), (told, style)), soft_wrap=True)


_ENDS = {"stop": "", "length": "cut", "stop_text": "ended by `stop`"}


def _ends(finish: Mapping[str, int]) -> str:
    names = {"stop": "ended", "length": "cut", "stop_text": "ended by `stop`"}
    return ", ".join(f"{count} {names.get(kind, kind)}" for kind, count in finish.items())
