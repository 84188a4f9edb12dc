"""Models on the way: the adapter as it was after some steps, kept beside the last one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback

from bakery.engine import adapter_folder
from bakery.engine.adapters import save_composed


class HalfBaked(TrainerCallback):
    """Saves the model after every n-th step or epoch, for each n asked for, as a folder.

    The folder is named by the step, counted from `first`; the step `last` is left to the caller.
    """

    def __init__(
        self,
        model: PeftModel,
        out: Path,
        *,
        bake_id: str,
        parent: Path | None,
        steps: Sequence[int],
        epochs: Sequence[int],
        last: int,
        first: int = 0,
    ) -> None:
        self._model, self._out, self._bake_id, self._parent = model, out, bake_id, parent
        self._steps, self._epochs, self._first, self._last = steps, epochs, first, last

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the model where its step is one of those."""
        step = self._first + state.global_step
        if any(step % every == 0 for every in self._steps):
            self._keep(step)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the model where its epoch is one of those."""
        if any(round(state.epoch) % every == 0 for every in self._epochs):
            self._keep(self._first + state.global_step)

    def _keep(self, step: int) -> None:
        if step != self._last:
            save_composed(
                self._model, self._out / str(step), bake_id=self._bake_id, parent=self._parent
            )


def kept(out: Path, *, last: int) -> list[dict[str, Any]]:
    """Return step and digest of every model that lies beside the last, the latest first."""
    steps = [
        int(path.parent.name)
        for path in out.glob(f"*/{adapter_folder.WEIGHTS}")
        if path.parent.name.isdigit()
    ]
    return [
        {"step": step, "digest": adapter_folder.digest(out / str(step))}
        for step in sorted(steps, reverse=True)
        if step != last
    ]
