"""How a running command tells what it is doing: bars on a terminal, plain lines elsewhere.

On stderr, so that what a command answers stays alone on stdout.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from bakery.reporting import Reporter
from bakery.ui.harmless import HarmlessConsole, harmless


@contextmanager
def reporter() -> Iterator[Reporter]:
    """Give the reporter that suits this terminal or pipe, for the length of one command."""
    console = HarmlessConsole(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    bars = Bars(console)
    try:
        yield bars
    finally:
        bars.close()


class Lines:
    """One plain line where a step begins and one where it ends: for logs and pipes."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Print the first and the last state of a step."""
        now = time.monotonic()
        if done >= total:
            seconds = now - self._started.pop(label, now)
            _print(f"{label}: {done}/{total} in {duration(seconds)}{_after(detail)}")
        elif label not in self._started:
            self._started[label] = now
            _print(f"{label}: {done}/{total} …{_after(detail)}")

    def note(self, text: str) -> None:
        """Print a note on its own line."""
        _print(f"note: {text}")


class Bars:
    """One bar for each step, with rate and time left; finished ones stay."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._terminal = contextlib.ExitStack()

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Move the bar of a step, or draw it."""
        bars = self._bars or self._open()
        if label not in self._tasks:
            self._tasks[label] = bars.add_task(label, total=total, completed=done, detail=detail)
        bars.update(self._tasks[label], completed=done, total=total, detail=detail)
        if done >= total:
            # The same step may run again, for the next bake: it then gets a bar of its own.
            del self._tasks[label]

    def note(self, text: str) -> None:
        """Print a note above the bars."""
        self._console.print(Text.assemble(("note: ", "yellow"), text))

    def close(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self._bars is not None:
            self._bars.stop()
        self._terminal.close()

    def _open(self) -> Progress:
        self._bars = Progress(
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=self._console,
            expand=True,
        )
        self._terminal.enter_context(_without_control_echo())
        self._bars.start()
        return self._bars


@contextmanager
def _without_control_echo() -> Iterator[None]:
    """Keep the terminal from echoing ^C: it moves the cursor, and bars are then drawn twice."""
    try:
        import termios

        keyboard = sys.stdin.fileno()
        before = termios.tcgetattr(keyboard)
    except (ImportError, OSError, ValueError, termios.error):
        yield  # Windows, or input that is no terminal: nothing is echoed into the bars.
        return
    quiet = [*before]
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(keyboard, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)


class _Rate(ProgressColumn):
    """Units per second, or seconds per unit where that is the readable side."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        shown = f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"
        return Text(shown, style="dim")


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _after(detail: str) -> str:
    return f" ({detail})" if detail else ""


def _print(line: str) -> None:
    print(harmless(line), file=sys.stderr, flush=True)
