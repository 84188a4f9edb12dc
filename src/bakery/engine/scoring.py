"""Views in, what the model as it stands says at their targets out: no gradient, no sampling.

Shapes: N target positions · D features · B rows · T time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from bakery.engine.readout import Readout
from bakery.engine.views import View

ROWS = 32


@torch.no_grad()
def features_of(
    model: torch.nn.Module, readout: Readout, views: Sequence[View]
) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Yield batches: indices into `views`, and the features (N, D) of their targets in turn."""
    device = next(model.parameters()).device
    for start in range(0, len(views), ROWS):
        at = list(range(start, min(start + ROWS, len(views))))
        ids, mask, rows, cols = (t.to(device) for t in padded([views[i] for i in at], 0))
        inputs = {"input_ids": ids, "attention_mask": mask}
        yield at, readout.features(model, inputs, rows, cols)


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
