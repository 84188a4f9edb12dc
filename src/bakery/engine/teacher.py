"""The teacher record: what the frozen parent says at every target position, computed once.

Kept are features (hidden states where the head gives them back exactly, see `readout`), not
logits: D numbers a token instead of |V|. Shapes: N target positions · D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import save_file

from bakery.engine.adapters import parent_only
from bakery.engine.readout import Readout
from bakery.engine.scoring import features_of
from bakery.engine.views import Pair
from bakery.identity import digest
from bakery.reporting import Reporter


class TeacherRecord:
    """Features of many pairs in memory-mapped files, addressed by the pair's key.

    Several files, where several processes each made a share.
    """

    def __init__(self, shares: Sequence[tuple[Path, Sequence[Pair]]]) -> None:
        self._found: dict[str, tuple[Any, int, int]] = {}
        for path, pairs in shares:
            rows = safe_open(str(path), framework="pt").get_slice("features")
            at = 0
            for pair in pairs:
                self._found[pair.key] = (rows, at, at + pair.num_targets)
                at += pair.num_targets

    def features(self, key: str) -> torch.Tensor:
        """Return the features (N, D) of one pair's targets."""
        rows, start, stop = self._found[key]
        return rows[start:stop]


def record(
    model: PeftModel,
    readout: Readout,
    pairs: Sequence[Pair],
    path: Path,
    *,
    of: str,
    reporter: Reporter,
) -> TeacherRecord:
    """Open the record at `path`, or make it, by one pass of the parent over the teacher views.

    `of` identifies the weights: a record made for others, or for other pairs, is made again.
    """
    key = digest([of, [[p.key, p.teacher.ids, p.teacher.spans] for p in pairs]])
    if not _is_for(path, key):
        parts = []
        with teaching(model):
            done = 0
            reporter.progress("teacher", done, len(pairs))
            for at, features in features_of(model, readout, [p.teacher for p in pairs]):
                parts.append(features.cpu())
                done += len(at)
                reporter.progress("teacher", done, len(pairs))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.tmp")
        tensors = {"features": torch.cat(parts) if parts else torch.zeros(0, 1)}
        save_file(tensors, str(draft), metadata={"key": key})
        draft.replace(path)
    return TeacherRecord([(path, pairs)])


@contextmanager
def teaching(model: PeftModel) -> Iterator[None]:
    """Make the model its own teacher: the parent alone, without dropout."""
    was_training = model.training
    model.eval()
    try:
        with parent_only(model):
            yield
    finally:
        model.train(was_training)


def _is_for(path: Path, key: str) -> bool:
    if not path.is_file():
        return False
    with safe_open(str(path), framework="pt") as file:
        return bool((file.metadata() or {}).get("key") == key)
