"""What each of several processes takes of a step, so that all of them together take what one would.

The order of an epoch is cut into steps as one process cuts it, and each step is dealt out. Where
it does not come out even, somebody has an example less: nothing is trained twice to fill it up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler
from transformers import TrainingArguments

from bakery.engine.workers import Worker


class Dealt(Sampler[list[int]]):
    """The micro-batches of one process: as many in each step as every other has, some empty.

    `size` examples make a step, over all processes; at most `most` of them are run at once.
    """

    def __init__(self, order: Sampler[int], *, size: int, most: int, worker: Worker) -> None:
        self._order, self._size, self._worker = order, size, worker
        self.parts = micro_batches(size, most, worker.count)

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size) * self.parts  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        drawn = list(self._order)
        for first in range(0, len(drawn), self._size):
            whole = drawn[first : first + self._size]
            own = whole[self._worker.rank :: self._worker.count]
            for part in range(self.parts):
                ends = (math.ceil(len(own) * at / self.parts) for at in (part, part + 1))
                yield own[slice(*ends)]


def micro_batches(size: int, most: int, count: int) -> int:
    """Return in how many micro-batches each of `count` processes runs its part of a step."""
    return math.ceil(math.ceil(size / count) / most)


class DealtLoader(DataLoader[Any]):
    """A loader of dealt batches, whose order is that of an epoch."""

    def __init__(self, dealt: Dealt, order: Any, like: DataLoader[Any]) -> None:
        """Load as `like` does, which accelerate has made."""
        super().__init__(
            like.dataset,
            batch_sampler=dealt,
            collate_fn=like.collate_fn,
            num_workers=like.num_workers,
            prefetch_factor=like.prefetch_factor,
            pin_memory=like.pin_memory,
            worker_init_fn=like.worker_init_fn,
        )
        self._order = order

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch, by its number."""
        if hasattr(self._order, "set_epoch"):
            self._order.set_epoch(epoch)


def dealt(
    loader: DataLoader[Any], args: TrainingArguments, worker: Worker, size: int | None
) -> DataLoader[Any]:
    """Return a loader of this process's part of every step; alone it is the one that was given.

    `size` examples make a step; None: as many as all its micro-batches hold.
    """
    order = _order_of(loader)
    if worker.count == 1 or not deals(args) or order is None:
        return loader
    most = args.per_device_train_batch_size
    size = size or most * args.gradient_accumulation_steps * worker.count
    return DealtLoader(Dealt(order, size=size, most=most, worker=worker), order, loader)


def deals(args: TrainingArguments) -> bool:
    """Tell whether steps are dealt out here; else accelerate does, in a way that was asked for."""
    how = args.accelerator_config
    return not (how.split_batches or how.dispatch_batches)


def only_trained(model: nn.Module) -> None:
    """Have the processes agree on what is trained alone: they have loaded the same base."""
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    buffers = [name for name, _ in model.named_buffers()]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, frozen + buffers)


def _order_of(loader: Any) -> Sampler[int] | None:
    """Return the order of all examples that accelerate has dealt out; None: it deals otherwise."""
    shard = getattr(loader, "batch_sampler", None)
    order = getattr(getattr(shard, "batch_sampler", None), "sampler", None)
    return order if isinstance(order, Sampler) else None
