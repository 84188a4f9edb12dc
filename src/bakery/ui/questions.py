"""`bgit stim` and `bgit rollout`: the shares of the mix, questions, and answers under them."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bakery.errors import ConfigError
from bakery.records import Stimulus, Trajectory, user_text, write_atomic
from bakery.ui.console import PIPE_WIDTH, note, open_console, say, show_json


@dataclass(frozen=True, slots=True)
class Asked:
    """How rows are to be shown: which part of them, in what form, and where."""

    limit: int | None = None
    offset: int = 0
    count: bool = False
    as_json: bool = False
    out: Path | None = None

    def page(self, rows: Sequence[Any]) -> list[Any]:
        """Return the rows that are asked for."""
        end = None if self.limit is None else self.offset + self.limit
        return list(rows[self.offset : end])


def show_stimuli(
    name: str, rows: Sequence[Stimulus], shares: Sequence[Any], *, complete: bool, asked: Asked
) -> None:
    """Show the shares of a target's mix, then its questions."""
    page = asked.page(rows)
    entries = [_filled(row) for row in page]
    document = {
        "target": name,
        "complete": complete,
        "count": len(rows),
        "offset": asked.offset,
        "generators": [asdict(share) for share in shares],
        "stimuli": entries,
    }
    flat = [
        {"question": user_text(r.messages), "generator": r.generator, "writer": r.writer,
         "id": r.id}
        for r in page
    ]  # fmt: skip

    def text(out: Console) -> None:
        if shares:
            out.print(_share_table(shares))
            for share in shares:
                if share.is_poor:
                    out.print(Text(_poor(share), "yellow"), soft_wrap=True)
            out.print()
        for number, row in enumerate(page, start=asked.offset + 1):
            behind = "  [answered behind the student prompt]" if row.rollout_with else ""
            out.print(
                Text.assemble((f"{number:>4}  ", "dim"), user_text(row.messages), (behind, "dim")),
                soft_wrap=True,
            )

    _show(document, entries, flat, text, len(rows), asked)


def show_answers(
    name: str,
    rows: Sequence[Trajectory],
    questions: Mapping[str, Stimulus],
    *,
    complete: bool,
    asked: Asked,
) -> None:
    """Show how the answers ended and how long they are, then each under its question."""
    page = asked.page(rows)
    finish, tokens = Counter(r.finish for r in rows), sum(len(r.response_ids) for r in rows)
    entries = [
        {"question": _question(r, questions), "tokens": len(r.response_ids), **asdict(r)}
        for r in page
    ]
    document = {
        "target": name,
        "complete": complete,
        "count": len(rows),
        "tokens": tokens,
        "finish": dict(finish),
        "models": dict(Counter(r.model for r in rows)),
        "offset": asked.offset,
        "answers": entries,
    }
    flat = [
        {key: e[key] for key in ("question", "text", "finish", "tokens", "model", "sample")}
        for e in entries
    ]

    def text(out: Console) -> None:
        if rows:
            models = ", ".join(dict.fromkeys(r.model for r in rows))
            many = "answer" if len(rows) == 1 else "answers"
            out.print(f"{len(rows)} {many} by {models}: {tokens} tokens, {_ends(finish)}\n")
        for number, entry in enumerate(entries, start=asked.offset + 1):
            _show_answer(out, number, entry)

    _show(document, entries, flat, text, len(rows), asked)


def _show(
    document: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    flat: Sequence[Mapping[str, Any]],
    text: Callable[[Console], None],
    total: int,
    asked: Asked,
) -> None:
    if asked.count:
        say(json.dumps({"count": total}) if asked.as_json else str(total))
        return
    if asked.out is not None:
        write_atomic(asked.out, _file_text(asked, document, rows, flat, text))
        note(f"{len(rows)} of {total} written to {asked.out}")
        return
    if asked.as_json:
        show_json(document)
        return
    if sys.stdout.isatty():
        text(open_console())
    else:
        print(_drawn(text), end="")
    if len(rows) < total:
        note(f"{len(rows)} of {total} shown" + (f", from {asked.offset + 1}" * bool(asked.offset)))


def _file_text(
    asked: Asked,
    document: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    flat: Sequence[Mapping[str, Any]],
    text: Callable[[Console], None],
) -> str:
    path = asked.out
    assert path is not None
    if path.exists():
        raise ConfigError(f"{path} exists already", hint="Choose another name, or move it away.")
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if suffix == ".csv":
        return _csv(flat)
    if suffix == ".json" or asked.as_json:
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
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


def _share_table(shares: Sequence[Any]) -> Table:
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


def _poor(share: Any) -> str:
    writer = ", ".join(share.writers) or "the model"
    return (
        f"Fewer than half of what {writer} said are messages to send. Other ways to questions: "
        "another `model`, hardcoded, from_dataset, persona. `bgit run --allow questions` goes on."
    )


def _usable(share: Any) -> str:
    return "-" if share.usable is None else f"{share.usable} of {share.judged}"


def _show_answer(out: Console, number: int, entry: Mapping[str, Any]) -> None:
    out.print(Text.assemble((f"{number:>4}  ", "dim"), (entry["question"], "cyan")), soft_wrap=True)
    cut = _ENDS.get(entry["finish"], entry["finish"])
    told = f"  [{entry['tokens']} tokens" + (f", {cut}]" if cut else "]")
    style = "yellow" if entry["finish"] == "length" else "dim"
    out.print(Text.assemble("      ", entry["text"].strip(), (told, style)), soft_wrap=True)


_ENDS = {"stop": "", "length": "cut", "stop_text": "ended by `stop`"}


def _ends(finish: Mapping[str, int]) -> str:
    names = {"stop": "ended", "length": "cut", "stop_text": "ended by `stop`"}
    return ", ".join(f"{count} {names.get(kind, kind)}" for kind, count in finish.items())


def _question(row: Trajectory, questions: Mapping[str, Stimulus]) -> str:
    asked = questions.get(row.stimulus_id)
    return user_text(asked.messages) if asked else f"(question {row.stimulus_id})"


def _filled(row: Stimulus) -> dict[str, Any]:
    return {key: value for key, value in asdict(row).items() if value is not None}
