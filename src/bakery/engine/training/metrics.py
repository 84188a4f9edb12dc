"""One row of figures for each logged step, kept in a file while training runs.

A resumed run leaves the file as a whole one would: rows of steps that it makes again are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from bakery import json_file
from bakery.records import write_atomic
from bakery.reporting import Reporter

_KEPT = ("loss", "eval_loss")


class Metrics(TrainerCallback):
    """Appends the rows, and shows where training stands. Only the first process does.

    A second `phase` of training counts on from the steps that were there `before` it. `beside`
    gives further figures of a step, `send` gets every row as it is kept, and `begins` how many
    steps of the phase are there, and how many it has.
    """

    def __init__(
        self,
        path: Path,
        reporter: Reporter,
        *,
        before: int = 0,
        phase: str | None = None,
        beside: Callable[[], Mapping[str, Any]] = dict,
        send: Callable[[Mapping[str, Any]], None] = lambda row: None,
        begins: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._path, self._reporter, self._before, self._phase = path, reporter, before, phase
        self._beside, self._send, self._begins = beside, send, begins
        self._parts = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drop the rows of steps that a resumed run makes again."""
        if not state.is_world_process_zero:
            return
        done = self._before + state.global_step
        kept = [row for row in rows(self._path, self._reporter.note) if row["step"] <= done]
        text = "".join(json.dumps(row) + "\n" for row in kept) if done else ""
        write_atomic(self._path, text)
        self._begins(state.global_step, state.max_steps)
        self._parts = 0
        self._reporter.progress(self._phase or "bake", state.global_step, state.max_steps)

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show how much of a step is done."""
        if state.is_world_process_zero:
            self._parts += 1
            self._reporter.partly(self._parts / args.gradient_accumulation_steps, 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have the first and the last loss logged, however seldom the others are."""
        self._parts = 0
        if state.global_step in (1, state.max_steps):
            control.should_log = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Keep the row of a step, or of an evaluation."""
        if not state.is_world_process_zero or not logs or not any(k in logs for k in _KEPT):
            return
        row = {"step": self._before + state.global_step, **logs, **self._beside()}
        if self._phase is not None:
            row["phase"] = self._phase
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._send(row)
        if "loss" in logs:
            self._reporter.progress(
                self._phase or "bake",
                state.global_step,
                state.max_steps,
                f"loss {logs['loss']:.4f}",
            )


def summary(losses: Sequence[float]) -> dict[str, float]:
    """Return what is told of the losses of a phase."""
    return {"first": losses[0], "last": losses[-1], "min": min(losses)}


def losses(path: Path, phase: str | None = None) -> list[float]:
    """Return the training loss of every logged step of a phase; None: the first."""
    return [row["loss"] for row in rows(path) if "loss" in row and row.get("phase") == phase]


def rows(path: Path, note: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
    """Return the rows of a file of figures; `note` is told of those that are none, and left out.

    A last line without its end does not count: who wrote it was killed meanwhile.
    """
    found, damaged = [], []
    try:
        for number, line in json_file.lines(path, most=LARGEST):
            try:
                row = json_file.as_object(json_file.parse(line, strict=False))
                if not json_file.is_whole(row.get("step")):
                    raise json_file.DamagedError("it has no step")
                found.append(row)
            except json_file.DamagedError as error:
                damaged.append(f"line {number}: {error}")
    except FileNotFoundError:
        return []
    if damaged:
        more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        note(f"{path} is damaged, and rows of it are left out: {damaged[0]}{more}")
    return found


LARGEST = 1 << 30
"""Bytes of a file of figures; a row has a few hundred."""
