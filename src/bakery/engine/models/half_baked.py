"""Models on the way: the adapter as it was after some steps, kept beside the last one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback

from bakery.engine.models import adapter_folder
from bakery.engine.models.adapters import save_composed


@dataclass(frozen=True)
class HalfBaked(TrainerCallback):
    """Saves the model after each step that `is_kept`, as a folder named by the step.

    Steps count on from `first`.
    """

    model: PeftModel
    out: Path
    bake_id: str
    parent: Path | None
    is_kept: Callable[[int], bool]
    first: int = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the model where its step is one of those."""
        step = self.first + state.global_step
        if state.is_world_process_zero and self.is_kept(step):
            place = self.out / str(step)
            save_composed(self.model, place, bake_id=self.bake_id, parent=self.parent)


def kept(out: Path, *, last: int, measured: Mapping[int, float]) -> list[dict[str, Any]]:
    """Return step and digest of every model that lies beside the last, the latest first.

    With its divergence, where that was `measured`.
    """
    steps = [
        int(path.parent.name)
        for path in out.glob(f"*/{adapter_folder.WEIGHTS}")
        if path.parent.name.isascii() and path.parent.name.isdigit()
    ]
    return [
        {
            "step": step,
            "digest": adapter_folder.digest(out / str(step)),
            **({"kl": measured[step]} if step in measured else {}),
        }
        for step in sorted(steps, reverse=True)
        if step != last
    ]
