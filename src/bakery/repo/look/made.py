"""What a bake was made with that its record does not spell out: read where this clone has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bakery.repo.files.recipe import RecordedBake
from bakery.store import results
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
    result = results.seen(store.bake(bake.id) / results.RESULT) or {}
    batch = result.get("batch") or training.get("global_batch")
    sampling = {}
    for target in bake.part("targets") or ():
        request = results.seen(store.target(target["id"]) / results.REQUEST) or {}
        asked = request.get("sampling") or {}
        if kept := {key: asked[key] for key in _SAMPLING if asked.get(key) is not None}:
            sampling[str(target["id"])] = kept
    return Made(bake.model.step, batch if isinstance(batch, int) else None, sampling)
