"""What a step of a bake took, and how near the student is to the teacher now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback


class StepFigures(TrainerCallback):
    """Counts the target tokens of each step, its seconds, and what is measured at some steps.

    `tokens` gives the count of the step under way, `measure` the divergence on what is held out
    (None: nothing is), and `is_due` tells after which steps. Steps count on from `first`.
    """

    def __init__(
        self,
        tokens: Callable[[], int],
        measure: Callable[[], float | None],
        *,
        is_due: Callable[[int], bool],
        first: int = 0,
    ) -> None:
        self._tokens, self._measure, self._is_due, self._first = tokens, measure, is_due, first
        self._since = time.monotonic()
        self._found: dict[str, Any] = {}

    def take(self) -> dict[str, Any]:
        """Return the figures of the step that was made last."""
        return self._found

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Read the clock, then measure: what that takes is not part of the step."""
        seconds = time.monotonic() - self._since
        self._found = {"tokens": self._tokens(), "seconds": round(seconds, 4)}
        if self._is_due(self._first + state.global_step):
            measured = self._measure()
            if measured is not None:
                self._found["eval_kl"] = measured

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock again."""
        self._since = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start it once more: a checkpoint is not part of a step."""
        self._since = time.monotonic()
