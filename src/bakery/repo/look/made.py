"""What a bake was made with that its record does not spell out: read where this clone has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakery.repo.files.recipe import RecordedBake
from bakery.store.store import Store

_SAMPLING = ("num_traj_per_stimulus", "max_tokens", "temperature")
"""What shapes every answer; the rest is shown by `bgit target`."""


@dataclass(frozen=True, slots=True)
class Made:
    """Steps and batch of a training, and how the answers of each target were sampled."""

    steps: int
    batch: int | None
    """Answers learnt at each step. None: it is neither recorded nor in this store."""
    sampling: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the target's id; none where the store has not its request."""


def of(store: Store, bake: RecordedBake) -> Made:
    """Return what a bake was made with, of its record and of this store."""
    training = bake.part("training") or {}
    batch = _read(store.bake(bake.id) / "bake.json").get("batch") or training.get("global_batch")
    sampling = {}
    for target in bake.part("targets") or ():
        asked = _read(store.target(target["id"]) / "request.json").get("sampling") or {}
        if kept := {key: asked[key] for key in _SAMPLING if asked.get(key) is not None}:
            sampling[str(target["id"])] = kept
    return Made(bake.model.step, batch if isinstance(batch, int) else None, sampling)


def _read(path: Path) -> Mapping[str, Any]:
    """Return a JSON object of the store; empty where there is none that can be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, Mapping) else {}
