"""What a process tells the one that started it: a line of JSON for each thing, in a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bakery.reporting import Reporter

POLL_S = 0.05
"""How often the file is looked at."""


class Told:
    """A reporter that writes down what it hears, for `shown` to pass on in another process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Write how far a step is."""
        self._write("progress", label, done, total, detail)

    def partly(self, done: float, of: int) -> None:
        """Write how far the units under way are."""
        self._write("partly", done, of)

    @contextmanager
    def doing(self, label: str) -> Iterator[None]:
        """Write that something is under way, and when it is over."""
        self._write("doing", label)
        try:
            yield
        finally:
            self._write("over")

    def note(self, text: str) -> None:
        """Write a note down."""
        self._write("note", text)

    def _write(self, kind: str, *given: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([kind, *given]) + "\n")


@contextmanager
def shown(path: Path, reporter: Reporter, *, before: str) -> Iterator[None]:
    """Pass on what is written to a file until the block ends, and what is in it by then.

    `before` says what is under way as long as nothing is.
    """
    over = threading.Event()
    passing = threading.Thread(target=_pass_on, args=(path, reporter, over, before), daemon=True)
    passing.start()
    try:
        yield
    finally:
        over.set()
        passing.join()


def _pass_on(path: Path, reporter: Reporter, over: threading.Event, before: str) -> None:
    path.touch()
    under_way: list[ExitStack] = []
    rest = ""
    with path.open(encoding="utf-8") as file, ExitStack() as at_the_end, ExitStack() as silent:
        silent.enter_context(reporter.doing(before))
        while True:
            is_last = over.wait(POLL_S)
            *lines, rest = (rest + file.read()).split("\n")
            if lines:
                silent.close()
            for line in lines:
                kind, *given = json.loads(line)
                if kind == "doing":
                    under_way.append(at_the_end.enter_context(ExitStack()))
                    under_way[-1].enter_context(reporter.doing(*given))
                elif kind == "over":
                    under_way.pop().close()
                else:
                    getattr(reporter, kind)(*given)
            if is_last:
                return
