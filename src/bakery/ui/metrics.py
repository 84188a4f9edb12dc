"""`bgit metrics`: charts and figures on the terminal, in files, and while a bake is trained."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bakery.errors import ConfigError, StageError
from bakery.records import sync_folder, write_atomic
from bakery.repo.look.metrics import SERIES, History, Metrics, Point, Span, as_csv
from bakery.ui import figure
from bakery.ui.chart import Look, chart, key, number
from bakery.ui.console import (
    PAGE_WIDTH,
    is_unicode,
    json_text,
    lay,
    open_console,
    say,
    show_json_line,
)
from bakery.ui.verdict import line

LOOK_AGAIN_S = 0.5
"""Between two looks at a bake that is watched."""


def show(histories: Sequence[History], names: Sequence[str]) -> None:
    """Print the chosen series as charts, and the span of all of them as a table."""
    out = open_console(width=None if sys.stdout.isatty() else PAGE_WIDTH)
    look = Look(out.width, is_unicode(out), bool(out.color_system) and out.is_terminal)
    for part in _parts(histories, names, look):
        lay(out, part)


def write(found: Metrics, names: Sequence[str], path: Path) -> None:
    """Write a file in the form that its name asks for; a picture has the chosen series."""
    histories = found.histories
    forms: dict[str, Callable[[], str | bytes]] = {
        ".csv": lambda: as_csv(histories),
        ".json": lambda: json_text(found.as_data()) + "\n",
        ".svg": lambda: figure.svg(_panels(histories, names)),
        ".png": lambda: figure.png(_panels(histories, names)),
    }
    form = forms.get(path.suffix.lower())
    if form is None:
        raise ConfigError(
            f"{path} does not end in a known format", hint=f"One of {', '.join(forms)}."
        )
    content = form()
    try:
        if isinstance(content, str):
            write_atomic(path, content)
        else:
            _write_bytes(path, content)
    except OSError as error:
        raise StageError(f"{path} cannot be written: {error.strerror}") from error


def watch(
    read: Callable[[], Sequence[History]],
    is_over: Callable[[], bool],
    names: Sequence[str],
    *,
    as_json: bool = False,
) -> None:
    """Follow what is logged until the bake is over: a chart that grows, or a line for each step."""
    if not sys.stdout.isatty():
        _tail(read, is_over, as_json)
        return
    out = open_console()
    look = Look(out.width, is_unicode(out), bool(out.color_system))
    with Live(console=out, auto_refresh=False) as live:
        while True:
            # Asked first: what is logged before the end is then read after it.
            over, histories = is_over(), read()
            if any(history.points for history in histories):
                live.update(Group(*_parts(histories, names, look)), refresh=True)
            else:
                live.update(Text("waiting for the first step", style="dim"), refresh=True)
            if over:
                return
            time.sleep(LOOK_AGAIN_S)


def _tail(
    read: Callable[[], Sequence[History]], is_over: Callable[[], bool], as_json: bool
) -> None:
    seen: dict[str, int] = {}
    while True:
        over, histories = is_over(), read()
        for history in histories:
            for point in history.points[seen.get(history.bake, 0) :]:
                _tell(history, point, as_json)
            seen[history.bake] = len(history.points)
        if over:
            return
        time.sleep(LOOK_AGAIN_S)


def _tell(history: History, point: Point, as_json: bool) -> None:
    row = History(history.bake, (point,)).as_data()["metrics"][0]
    if as_json:
        show_json_line({"bake": history.bake, **row})
        return
    figures = [f"{name} {number(row[name])}" for name in SERIES if name in row]
    print("  ".join([f"step {point.step}", *figures]), flush=True)


def _parts(histories: Sequence[History], names: Sequence[str], look: Look) -> list[RenderableType]:
    parts: list[RenderableType] = []
    several = len(histories) > 1
    if not several:
        if (verdict := histories[0].verdict) is not None:
            parts.append(line(verdict))
        parts.append(Text(histories[0].bake, style="bold", no_wrap=True))
    mark = _mark(histories)
    for name in names:
        unit = f", {SERIES[name]}" if SERIES[name] else ""
        parts.append(Text(f"{name.replace('_', ' ')}{unit}", style="bold" if several else ""))
        parts.append(chart([h.series(name) for h in histories], look, mark=mark))
    if mark is not None:
        parts.append(Text(f"from step {mark} on: the student's own answers\n"))
    parts.append(_compared(histories, names, look) if several else _spans(histories[0]))
    return parts


def _spans(history: History) -> Table:
    table = _table("series")
    for name in history.names:
        table.add_row(name, *_figures(Span.of(history.series(name))))
    table.add_row("steps", str(history.points[-1].step), "", "", "")
    return table


def _compared(histories: Sequence[History], names: Sequence[str], look: Look) -> Table:
    table = _table("bake", "" if len(names) == 1 else "series")
    for index, history in enumerate(histories):
        title = Text.assemble(key(index, look, len(histories)), " ", history.bake)
        shown = [name for name in names if name in history.names]
        for label, name in zip_longest([title], shown, fillvalue=None):
            span = _figures(Span.of(history.series(name))) if name else ("-",) * 4
            between = () if len(names) == 1 else (name or "",)
            table.add_row(label or "", *between, *span)
    return table


def _table(*labels: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for label in filter(None, labels):
        table.add_column(label, overflow="fold")
    for figure_ in ("first", "last", "min", "max"):
        table.add_column(figure_, justify="right", no_wrap=True)
    return table


def _figures(span: Span) -> tuple[str, ...]:
    return tuple(number(value) for value in (span.first, span.last, span.min, span.max))


def _mark(histories: Sequence[History]) -> int | None:
    """Return the step at which the second phase begins, where there is one line to mark it for."""
    return histories[0].on_policy_from if len(histories) == 1 else None


def _panels(histories: Sequence[History], names: Sequence[str]) -> list[figure.Panel]:
    mark = _mark(histories)
    title = f"{histories[0].bake}: " if len(histories) == 1 else ""
    return [
        figure.Panel(
            f"{title}{name.replace('_', ' ')}" + (f", {SERIES[name]}" if SERIES[name] else ""),
            {history.bake: history.series(name) for history in histories},
            None if mark is None else (mark, "on its own answers"),
        )
        for name in names
    ]


def _write_bytes(path: Path, content: bytes) -> None:
    """Replace a whole file, so that a reader sees the old one or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    draft.write_bytes(content)
    draft.replace(path)
    sync_folder(path.parent)


def told_written(path: Path) -> None:
    """Say where a file is now."""
    say(f"wrote {path}")
