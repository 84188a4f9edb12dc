"""The rows of metrics.jsonl and the card's figures, sent to trackers where that was asked for.

Nothing else is sent: no prompt, no answer, no weights. A key is the package's own business. What a
package prints, and what processes that it starts do, goes to stderr: on stdout only our answer may
stand.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

from bakery.identity import Running
from bakery.store.results import TENSORBOARD
from bakery.trackers import TensorBoard, Trackio, Wandb

Send = Callable[[Mapping[str, Any]], None]


class Tracker(Protocol):
    """One place where figures are shown."""

    def log(self, figures: Mapping[str, Any], step: int) -> None:
        """Show the figures of a step."""

    def end(self, *, failed: bool) -> None:
        """Close it."""


class Shown:
    """All trackers of a bake: opened when its training begins, closed with the bake."""

    def __init__(self, asked: Running, out: Path) -> None:
        self._asked, self._out = asked, out
        self._open: list[Tracker] = []
        self._step = 0

    def begin(self, config: Mapping[str, Any]) -> None:
        """Open every tracker that is asked for."""
        asked = self._asked
        if asked.wandb is not None:
            self._open.append(_Wandb(asked.wandb, config))
        if asked.trackio is not None:
            self._open.append(_Trackio(asked.trackio, config))
        if asked.tensorboard is not None:
            self._open.append(_TensorBoard(asked.tensorboard, self._out))

    def row(self, row: Mapping[str, Any]) -> None:
        """Send a row of metrics.jsonl."""
        self._step = int(row["step"])
        self._log(row)

    def card(self, card: Mapping[str, Any]) -> None:
        """Send the figures of a card, as `card/…`, with the verdict's word in place of its text."""
        own = {key: value for key, value in card.items() if _is_figure(value)}
        verdict = card.get("verdict") or {}
        found = {f"verdict/{k}": v for k, v in verdict.get("figures", {}).items() if _is_figure(v)}
        word = {"verdict": verdict["word"]} if "word" in verdict else {}
        self._log({f"card/{key}": value for key, value in {**own, **found, **word}.items()})

    def _log(self, figures: Mapping[str, Any]) -> None:
        for tracker in self._open:
            tracker.log(figures, self._step)

    def end(self, *, failed: bool) -> None:
        """Close every tracker."""
        for tracker in self._open:
            tracker.end(failed=failed)


@contextmanager
def shown(asked: Running, out: Path) -> Iterator[Shown]:
    """Yield what sends a bake's figures, and close it as done or as failed."""
    found = Shown(asked, out)
    try:
        yield found
    except BaseException:
        found.end(failed=True)
        raise
    found.end(failed=False)


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@contextmanager
def _on_stderr() -> Iterator[None]:
    """Have this process, and those that are started within, print to stderr."""
    sys.stdout.flush()
    ours = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(ours, STDOUT)
        os.close(ours)


STDOUT, STDERR = 1, 2


class _Wandb:
    def __init__(self, asked: Wandb, config: Mapping[str, Any]) -> None:
        with _on_stderr():
            self._run = importlib.import_module("wandb").init(
                project=asked.project,
                name=asked.name,
                entity=asked.entity,
                tags=list(asked.tags),
                config=dict(config),
            )

    def log(self, figures: Mapping[str, Any], step: int) -> None:
        with _on_stderr():
            self._run.log(dict(figures), step=step)

    def end(self, *, failed: bool) -> None:
        with _on_stderr():
            self._run.finish(**({"exit_code": 1} if failed else {}))


class _Trackio:
    def __init__(self, asked: Trackio, config: Mapping[str, Any]) -> None:
        with _on_stderr():
            self._trackio = importlib.import_module("trackio")
            self._run = self._trackio.init(
                project=asked.project,
                name=asked.name,
                space_id=asked.space,
                config=dict(config),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, figures: Mapping[str, Any], step: int) -> None:
        with _on_stderr():
            self._run.log({k: v for k, v in figures.items() if k != "step"}, step=step)

    def end(self, *, failed: bool) -> None:
        with _on_stderr():
            self._trackio.finish()  # `run.finish` is called once more when Python ends, and prints


class _TensorBoard:
    def __init__(self, asked: TensorBoard, out: Path) -> None:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(log_dir=str(out / TENSORBOARD / asked.name))

    def log(self, figures: Mapping[str, Any], step: int) -> None:
        for name, value in figures.items():
            if _is_figure(value) and name != "step":
                self._writer.add_scalar(name, value, step)
            elif name == "card/verdict":
                self._writer.add_text(name, str(value), step)

    def end(self, *, failed: bool) -> None:
        self._writer.close()
