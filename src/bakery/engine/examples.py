"""What a trainer draws from: examples of one or more paired views, with the teacher's record.

An example is one row of the data: a prompt with all its trajectories, or a conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset

from bakery.engine.scoring import padded
from bakery.engine.views import Pair

Example = Sequence[Pair]
Weighting = Callable[[Pair], float]


class Features(Protocol):
    """Gives what the teacher says at the targets of pairs."""

    @property
    def is_live(self) -> bool:
        """Whether the model is run for it, which is not for a worker of a data loader."""

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""


class Examples(Dataset[Example]):
    """Examples by index. A new round replaces them all, in place: loaders keep working."""

    def __init__(self, examples: Sequence[Example], record: Features) -> None:
        self.examples, self.record = list(examples), record

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]

    @property
    def pairs(self) -> list[Pair]:
        """Every pair of every example, in order."""
        return list(chain.from_iterable(self.examples))


def collator(
    examples: Examples, pad_id: int, *, weighting: str = "token"
) -> Callable[[Sequence[Example]], dict[str, Any]]:
    """Return what turns examples into one padded batch with its teacher features.

    Where the teacher is live, it has the pairs to ask it for instead.
    `weighting` says what counts alike: every target `token`, or every `example` (trajectory).
    """

    def collate(drawn: Sequence[Example]) -> dict[str, Any]:
        pairs = list(chain.from_iterable(drawn))
        ids, mask, rows, cols = padded([p.student for p in pairs], pad_id)
        each = [1.0 if weighting == "token" else 1.0 / p.num_targets for p in pairs]
        counts = torch.tensor([p.num_targets for p in pairs])
        batch: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": mask,
            "rows": rows,
            "cols": cols,
            "weights": torch.tensor(each).repeat_interleave(counts),
        }
        if examples.record.is_live:
            batch["pairs"] = pairs
        else:
            batch["teacher"] = examples.record.features_of_pairs(pairs)
        return batch

    return collate
