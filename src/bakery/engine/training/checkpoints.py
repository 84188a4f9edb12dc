"""Which checkpoints of a training run can be gone on from."""

from __future__ import annotations

import json
import re
from pathlib import Path

_NAME = re.compile(r"checkpoint-(\d+)")


def is_named(path: Path) -> bool:
    """Tell whether a folder has the name that transformers gives a checkpoint."""
    return _NAME.fullmatch(path.name) is not None


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint was written to its end: its state comes last."""
    try:
        return "global_step" in json.loads((path / "trainer_state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False


def newest(folder: Path) -> Path | None:
    """Return the whole checkpoint of the most steps, or None."""
    whole = [path for path in folder.glob("checkpoint-*") if is_named(path) and is_whole(path)]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
