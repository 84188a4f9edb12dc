"""The teacher record: what the frozen parent says at every target position, computed once.

Kept are features (hidden states where the head gives them back exactly, see `readout`), not
logits: D numbers a token instead of |V|. Shapes: N target positions · D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

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
    """Features of many trajectories in one memory-mapped file, addressed by trajectory."""

    def __init__(self, path: Path, pairs: Sequence[Pair]) -> None:
        self._file = safe_open(str(path), framework="pt")
        self._rows = self._file.get_slice("features")
        self._span: dict[str, tuple[int, int]] = {}
        at = 0
        for pair in pairs:
            self._span[pair.key] = (at, at + pair.num_targets)
            at += pair.num_targets

    def features(self, key: str) -> torch.Tensor:
        """Return the features (N, D) of one trajectory's targets."""
        start, stop = self._span[key]
        return self._rows[start:stop]


def record(
    model: PeftModel,
    readout: Readout,
    pairs: Sequence[Pair],
    path: Path,
    *,
    parent_digest: str,
    reporter: Reporter,
) -> TeacherRecord:
    """Open the record at `path`, or make it, by one pass of the parent over the teacher views.

    A record made for other trajectories or another parent is made again.
    """
    key = digest([parent_digest, [[p.key, p.teacher.ids, p.teacher.spans] for p in pairs]])
    if not _is_for(path, key):
        parts = []
        with parent_only(model):
            done = 0
            reporter.progress("teacher", done, len(pairs))
            for views, features in view_features(model, readout, [p.teacher for p in pairs]):
                parts.append(features.cpu())
                done += len(views)
                reporter.progress("teacher", done, len(pairs))
        draft = path.with_name(f".{path.name}.tmp")
        save_file({"features": torch.cat(parts)}, str(draft), metadata={"key": key})
        draft.replace(path)
    return TeacherRecord(path, pairs)


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

    The last target is never an input: nothing is predicted from it.
    """
    lengths = [max(view.predicting) + 1 for view in views]
    ids = torch.full((len(views), max(lengths)), pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    rows: list[int] = []
    cols: list[int] = []
    for i, (view, length) in enumerate(zip(views, lengths, strict=True)):
        ids[i, :length] = torch.as_tensor(view.ids[:length])
        mask[i, :length] = 1
        rows += [i] * len(view.predicting)
        cols += view.predicting
    return ids, mask, torch.as_tensor(rows), torch.as_tensor(cols)


def _is_for(path: Path, key: str) -> bool:
    if not path.is_file():
        return False
    with safe_open(str(path), framework="pt") as file:
        return bool((file.metadata() or {}).get("key") == key)
