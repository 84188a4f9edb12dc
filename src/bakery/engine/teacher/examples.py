"""What a trainer draws from: examples of one or more paired views, with the teacher's record.

An example is one row of the data: a prompt with all its trajectories, or a conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset

from bakery.engine.loss.forms import Form
from bakery.engine.packed.attention import KEYWORD
from bakery.engine.packed.layouts import Packed
from bakery.engine.packed.trees import Tree, pack, smallest, trees
from bakery.engine.teacher.scoring import padded
from bakery.engine.text.views import Pair, View

Example = Sequence[Pair]

SHARED, PACKED, PADDED = "shared", "packed", "padded"
"""How a batch is laid out: as one sequence in which what all rows begin with is there once, or once
for each prompt, which was the only way; or as rows of one length."""


class Features(Protocol):
    """Gives what the teacher says at the targets of pairs."""

    @property
    def form(self) -> Form:
        """What the features are."""

    @property
    def is_live(self) -> bool:
        """Whether the model is run for it, which is not for a worker of a data loader."""

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""


class Examples(Dataset[Example]):
    """Examples by index. A new round replaces them all, in place: loaders keep working."""

    def __init__(self, examples: Sequence[Example], record: Features | None = None) -> None:
        """`record` None: what the teacher says of them comes later, before the first batch."""
        self.examples, self._record = list(examples), record

    @property
    def record(self) -> Features:
        """What the teacher says of them."""
        assert self._record is not None, "no round is drawn"
        return self._record

    @record.setter
    def record(self, record: Features) -> None:
        self._record = record

    @property
    def is_taught(self) -> bool:
        """Whether it is known what the teacher says of them."""
        return self._record is not None

    def replace(self, examples: Sequence[Example]) -> None:
        """Put other examples in their place; the record of the former gives its disk space back."""
        self.examples, self._record = list(examples), None

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]

    @property
    def pairs(self) -> list[Pair]:
        """Every pair of every example, in order."""
        return list(chain.from_iterable(self.examples))


def collator(
    examples: Examples, pad_id: int, *, weighting: str = "token", layout: str = PADDED
) -> Callable[[Sequence[Example]], dict[str, Any]]:
    """Return what turns examples into one batch with its teacher features.

    The batch is one packed sequence, or rows padded on the right. Where the teacher is live, it
    has the pairs to ask it for instead.
    `weighting` says what counts alike: every target `token`, or every `example` (trajectory).
    """

    def collate(drawn: Sequence[Example]) -> dict[str, Any]:
        pairs = list(chain.from_iterable(drawn))
        if layout != PADDED and pairs:
            shape, pairs = _packed(pairs, smallest if layout == SHARED else trees)
        else:
            shape = _padded(pairs, pad_id)
        each = [1.0 if weighting == "token" else 1.0 / p.num_targets for p in pairs]
        counts = torch.tensor([p.num_targets for p in pairs], dtype=torch.long)
        batch: dict[str, Any] = {
            **shape,
            "weights": torch.tensor(each).repeat_interleave(counts),
        }
        if examples.record.is_live:
            batch["pairs"] = pairs
        else:
            batch["teacher"] = examples.record.features_of_pairs(pairs)
        return batch

    return collate


def _packed(
    pairs: list[Pair], planted: Callable[[Sequence[View]], list[Tree]]
) -> tuple[dict[str, Any], list[Pair]]:
    """Return one sequence of trees, and the pairs in the order of its targets."""
    views = [p.student for p in pairs]
    made = pack(planted(views), views)
    shape = {
        **made.inputs(),
        KEYWORD: Packed([(None, made.segments)], read=made.cols.unique()),
        "rows": torch.zeros_like(made.cols),
        "cols": made.cols,
    }
    return shape, [pairs[i] for i in made.views]


def _padded(pairs: list[Pair], pad_id: int) -> dict[str, Any]:
    ids, mask, rows, cols = padded([p.student for p in pairs], pad_id)
    return {"input_ids": ids, "attention_mask": mask, "rows": rows, "cols": cols}
