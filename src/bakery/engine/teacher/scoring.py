"""Views in, what the model as it stands says at their targets out: no gradient, no sampling.

What many views begin with is run once, and the rest packed behind it; a model that cannot run
packed gets padded rows. Batches depend on the views alone. Shapes: N target positions · D
features · B rows · T time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from bakery.engine.loss.readout import Readout
from bakery.engine.packed.layouts import Packed, Prefix
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.packed.support import Support, support_of
from bakery.engine.packed.trees import Tree, batches, pack, trees
from bakery.engine.text.views import View

ROWS = 32
"""Rows of a padded batch."""

MOST_TOKENS = 1 << 12
"""Tokens of a packed batch; a longer tree of views is a batch of its own."""

Scored = tuple[list[int], torch.Tensor]


@torch.no_grad()
def features_of(
    model: nn.Module,
    readout: Readout,
    views: Sequence[View],
    *,
    prefixes: Prefixes | None = None,
) -> Iterator[Scored]:
    """Yield batches: indices into `views`, and the features (N, D) of their targets in turn.

    `prefixes` are those of the model as it stands, where somebody else had them run already.
    """
    support = support_of(model)
    if support.refused is not None:
        yield from _padded(model, readout, views)
        return
    prefixes = prefixes or Prefixes()
    for group in prefixes.groups([beginning(view) for view in views]):
        members = [views[i] for i in group.members]
        prefix = None
        if group.shared:
            prefix = prefixes.of(model, support, members[0].ids[: group.shared])
        for chosen in batches(trees(members, skip=group.shared), MOST_TOKENS):
            at, features = _packed(model, support, readout, chosen, members, prefix)
            yield [group.members[i] for i in at], features


def in_order(
    model: nn.Module,
    readout: Readout,
    views: Sequence[View],
    *,
    prefixes: Prefixes | None = None,
) -> torch.Tensor:
    """Return the features (N, D) of all targets of some views, view by view."""
    parts: dict[int, torch.Tensor] = {}
    for at, features in features_of(model, readout, views, prefixes=prefixes):
        counts = [len(views[i].predicting) for i in at]
        parts |= zip(at, features.split(counts), strict=True)
    return torch.cat([parts[i] for i in range(len(views))])


def beginning(view: View) -> Sequence[int]:
    """Return the ids before a view's first target: what may be shared with others."""
    return view.ids[: view.predicting[0] + 1]


def _packed(
    model: nn.Module,
    support: Support,
    readout: Readout,
    chosen: Sequence[Tree],
    views: Sequence[View],
    prefix: Prefix | None,
) -> Scored:
    device = next(model.parameters()).device
    packed = pack(chosen, views, skip=prefix.length if prefix else 0)
    layout = Packed([(prefix, packed.segments)], read=packed.cols.unique())
    cols = packed.cols.to(device)
    with support.running(layout) as told:
        inputs = {name: ids.to(device) for name, ids in packed.inputs().items()} | told
        return list(packed.views), readout.features(model, inputs, torch.zeros_like(cols), cols)


def _padded(model: nn.Module, readout: Readout, views: Sequence[View]) -> Iterator[Scored]:
    device = next(model.parameters()).device
    order = sorted(range(len(views)), key=lambda i: len(views[i].ids))
    for start in range(0, len(views), ROWS):
        at = order[start : start + ROWS]
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
