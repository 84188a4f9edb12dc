"""How a running command tells what it is doing: bars on a terminal, plain lines elsewhere.

On stderr, so that what a command answers stays alone on stdout.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from bakery.reporting import Pace, Reporter
from bakery.ui.harmless import HarmlessConsole, harmless
from bakery.ui.narrow import between_words
from bakery.ui.times import clock, duration, speed

_in_use: list[Reporter] = []


@contextmanager
def any_reporter() -> Iterator[Reporter]:
    """Give the reporter that is in use, or one of its own: a terminal has room for one."""
    if _in_use:
        yield _in_use[-1]
        return
    with reporter() as shown:
        yield shown


@contextmanager
def reporter() -> Iterator[Reporter]:
    """Give the reporter that suits this terminal or pipe, for the length of one command."""
    with _fitting() as shown:
        _in_use.append(shown)
        try:
            yield shown
        finally:
            _in_use.remove(shown)


@contextmanager
def _fitting() -> Iterator[Reporter]:
    console = HarmlessConsole(stderr=True)
    if not console.is_terminal:
        lines = Lines()
        try:
            yield lines
        finally:
            lines.close()
        return
    bars = Bars(console)
    try:
        yield bars
    finally:
        bars.close()


EVERY_S = 15.0
"""The longest that a pipe stays silent while a step is under way."""

NOTE, WARNING = "note: ", "warning: "
"""How a note is announced, and how one begins that is more than that."""

SHORT_S = 2.0
"""What takes no longer than this, and has no count, is not worth a line."""


@dataclass(slots=True)
class _Step:
    """A step that is under way: how far it is, and since when."""

    label: str
    pace: Pace
    detail: str = ""
    is_counted: bool = True
    is_said: bool = False
    of: int = 0
    """How many units are under way at once."""

    @property
    def count(self) -> str:
        """How much is done, of how much; empty where nobody can tell."""
        pace = self.pace
        if self.is_counted:
            return f"{pace.done}/{pace.total}"
        return f"{int(pace.part)}/{pace.total}" if self.of else ""

    def state(self, now: float) -> str:
        """Return how far it is, in words: count, rate, what has passed and what is left."""
        pace, words = self.pace, [self.count] if self.count else []
        if self.is_counted and pace.part:
            many = f"about {pace.part:.0f} of the next {self.of}"
            words.append(many if self.of > 1 else f"{100 * pace.part:.0f} % of the next")
        if (rate := pace.rate(now)) is not None:
            words.append(speed(rate))
        words.append(f"{duration(now - pace.began)} elapsed")
        if left := pace.left_s(now):  # 0: the last few of a batch, which nobody knows
            words.append(f"about {duration(left)} left")
        return ", ".join(words)

    def update(self, done: int, total: int, detail: str) -> None:
        """Take what is done by now; what was under way is counted from here on."""
        self.pace.done, self.pace.total, self.pace.part = done, total, 0.0
        self.detail = detail

    def partly(self, done: float, of: int) -> None:
        """Take what is done of the units under way."""
        if not self.is_counted:
            self.pace.total = of
        self.pace.part = min(done, float(self.pace.total - self.pace.done))
        self.of = of


class Steps:
    """The steps that are under way, the one last reported at the end."""

    def __init__(self) -> None:
        self._open: dict[str, _Step] = {}

    @property
    def last(self) -> _Step | None:
        """The step last reported; None: nothing is under way."""
        return next(reversed(self._open.values()), None)

    def told(self, label: str, done: int, total: int, detail: str) -> tuple[_Step, bool]:
        """Return a step as it is now, and whether it has just begun."""
        step = self._open.pop(label, None)
        is_new = step is None or done < step.pace.done
        if step is None or is_new:
            step = _Step(label, Pace(time.monotonic(), done, done, total))
        step.update(done, total, detail)
        if done < total:
            self._open[label] = step
        return step, is_new

    def begun(self, label: str) -> _Step:
        """Return a new step that has no count."""
        step = _Step(label, Pace(time.monotonic(), 0, 0, 1), is_counted=False)
        self._open.pop(label, None)
        self._open[label] = step
        return step

    def ended(self, label: str) -> None:
        """Forget a step."""
        self._open.pop(label, None)


class Lines:
    """Plain lines for logs and pipes: where a step begins, where it ends, and now and then between.

    A thread speaks where nobody else does: one long call may compute for minutes.
    """

    def __init__(self, *, every_s: float = EVERY_S, short_s: float = SHORT_S) -> None:
        self._every_s, self._short_s = every_s, short_s
        self._steps = Steps()
        self._lock = threading.Condition()
        self._said = time.monotonic()
        self._speaker: threading.Thread | None = None

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Print the first and the last state of a step."""
        with self._lock:
            step, is_new = self._steps.told(label, done, total, detail)
            if done >= total:
                took = duration(time.monotonic() - step.pace.began)
                self._say(f"{label}: {done}/{total} in {took}{_after(detail)}")
            elif is_new:
                self._say(f"{label}: {done}/{total} …{_after(detail)}")
            self._keep_speaking()

    def partly(self, done: float, of: int) -> None:
        """Keep it for the next line."""
        if (step := self._steps.last) is not None:
            step.partly(done, of)

    @contextmanager
    def doing(self, label: str) -> Iterator[None]:
        """Print that it is under way, and that it ended, where it takes longer than a moment."""
        with self._lock:
            step = self._steps.begun(label)
            self._keep_speaking()
        try:
            yield
        finally:
            with self._lock:
                self._steps.ended(label)
                if step.is_said:
                    self._say(f"{label}: {duration(time.monotonic() - step.pace.began)}")

    def note(self, text: str) -> None:
        """Print a note on its own line."""
        with self._lock:
            self._say(noted(text))

    def close(self) -> None:
        """Say no more of what an error broke off."""
        with self._lock:
            self._steps = Steps()
            self._lock.notify()

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        _print(line)

    def _keep_speaking(self) -> None:
        """Have a thread that speaks as long as a step is under way."""
        self._lock.notify()
        if self._speaker is None and self._steps.last is not None:
            self._speaker = threading.Thread(target=self._speak, daemon=True)
            self._speaker.start()

    def _speak(self) -> None:
        with self._lock:
            while (step := self._steps.last) is not None:
                now = time.monotonic()
                due = self._said + self._every_s
                if not step.is_counted and not step.is_said:
                    due = min(due, step.pace.began + self._short_s)
                if now < due:
                    self._lock.wait(due - now)
                    continue
                is_first = not step.is_counted and not step.is_said
                step.is_said = True
                state = "…" if is_first else step.state(now)
                sign = " " if is_first else ": "
                self._say(f"{step.label}{sign}{state}{_after(step.detail)}")
            self._speaker = None


class Bars:
    """One bar for each step, with rate and time left; finished ones stay."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._steps = Steps()
        self._terminal = contextlib.ExitStack()

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Move the bar of a step, or draw it."""
        bars = self._bars or self._open()
        step, is_new = self._steps.told(label, done, total, detail)
        if is_new or label not in self._tasks:
            # The same step may run again, for the next bake: it then gets a bar of its own.
            self._tasks[label] = bars.add_task(label, total=total, completed=done, step=step)
        bars.update(self._tasks[label], completed=done, total=total)
        if done >= total:
            del self._tasks[label]

    def partly(self, done: float, of: int) -> None:
        """Move the bar last reported by less than a unit."""
        step = self._steps.last
        if step is None or self._bars is None:
            return
        step.partly(done, of)
        at, total = step.pace.done + step.pace.part, step.pace.total
        self._bars.update(self._tasks[step.label], completed=at, total=total)

    @contextmanager
    def doing(self, label: str) -> Iterator[None]:
        """Draw a bar that only says that something is under way."""
        bars = self._bars or self._open()
        step = self._steps.begun(label)
        task = self._tasks[label] = bars.add_task(label, total=None, step=step)
        try:
            yield
        finally:
            self._steps.ended(label)
            del self._tasks[label]
            if time.monotonic() - step.pace.began < SHORT_S:
                bars.remove_task(task)
            else:
                bars.update(task, total=1, completed=1)

    def note(self, text: str) -> None:
        """Print a note above the bars."""
        lines = between_words(noted(text), self._console.width)
        said = "" if text.startswith(WARNING) else NOTE
        self._console.print(
            Text.assemble((said, "yellow"), lines.removeprefix(said)), soft_wrap=True
        )

    def close(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self._bars is not None:
            self._bars.stop()
        self._terminal.close()

    def _open(self) -> Progress:
        self._bars = Progress(
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(bar_width=None),
            _Told(lambda step, task: step.count),
            _Told(_rate),
            _Told(_times),
            _Told(lambda step, task: step.detail),
            console=self._console,
            expand=True,
        )
        self._terminal.enter_context(_without_control_echo())
        self._bars.start()
        return self._bars


class _Told(ProgressColumn):
    """What there is to say of a step, as text."""

    def __init__(self, said: Callable[[_Step, Task], str]) -> None:
        super().__init__(table_column=Column(no_wrap=True))  # the bar gives way instead
        self._said = said

    def render(self, task: Task) -> Text:
        return Text(self._said(task.fields["step"], task), style="dim")


def _now(task: Task) -> float:
    """Return the time at which a step is looked at: of a finished one, its end."""
    step: _Step = task.fields["step"]
    return time.monotonic() if task.finished_time is None else step.pace.began + task.finished_time


def _rate(step: _Step, task: Task) -> str:
    rate = step.pace.rate(_now(task))
    return "" if rate is None else speed(rate)


def _times(step: _Step, task: Task) -> str:
    now = _now(task)
    elapsed, left = f"{clock(now - step.pace.began)} elapsed", step.pace.left_s(now)
    if task.finished or left is None:
        return elapsed
    return f"{elapsed}, {clock(left)} left"


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


def noted(text: str) -> str:
    """Return a note as it is announced: a warning announces itself."""
    return text if text.startswith(WARNING) else f"{NOTE}{text}"


def _after(detail: str) -> str:
    return f" ({detail})" if detail else ""


def _print(line: str) -> None:
    print(harmless(line), file=sys.stderr, flush=True)
