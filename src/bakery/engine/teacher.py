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
from bakery.engine.views import Pair, View
from bakery.identity import digest
from bakery.reporting import Reporter

ROWS = 32


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
            for views, features in view_features(model, readout, [p.teacher for p in pairs]):
                parts.append(features.cpu())
                done += len(views)
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


@torch.no_grad()
def view_features(
    model: torch.nn.Module, readout: Readout, views: Sequence[View]
) -> Iterator[tuple[Sequence[View], torch.Tensor]]:
    """Yield batches of views in order, each with the features (N, D) of its targets."""
    device = next(model.parameters()).device
    for start in range(0, len(views), ROWS):
        batch = views[start : start + ROWS]
        inputs = padded(batch, 0)
        features = readout.features(model, *(t.to(device) for t in inputs))
        yield batch, features


def padded(
    views: Sequence[View], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids (B, T) padded on the right, mask (B, T), and rows and columns (N,) that predict.

    The last target is never an input: nothing is predicted from it. No views give one empty row.
    """
    lengths = [max(view.predicting) + 1 for view in views] or [1]
    ids = torch.full((len(lengths), max(lengths)), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    mask[:, 0] = 1
    rows: list[int] = []
    cols: list[int] = []
    for i, view in enumerate(views):
        ids[i, : lengths[i]] = torch.as_tensor(view.ids[: lengths[i]])
        mask[i, : lengths[i]] = 1
        rows += [i] * len(view.predicting)
        cols += view.predicting
    return ids, mask, torch.tensor(rows, dtype=torch.long), torch.tensor(cols, dtype=torch.long)


def _is_for(path: Path, key: str) -> bool:
    if not path.is_file():
        return False
    with safe_open(str(path), framework="pt") as file:
        return bool((file.metadata() or {}).get("key") == key)
