"""The processes that torchrun has started for one bake, as one of them sees the others."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from bakery.engine.workers import Worker

WAIT = timedelta(hours=2)
"""How long one waits for what the first does alone. Who is killed ends all of them at once."""

CHUNK = 64 << 20
"""Bytes of a file that are sent at once."""


@contextmanager
def joined(meeting: Path, *, in_step: bool) -> Iterator[Worker]:
    """Meet the other processes, at a file where all are on this machine, and yield this one.

    `in_step`: the base is shared out, so all have to run it at the same time.
    """
    rank, count = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(local_rank())
    given: dict[str, Any] = {}
    if int(os.environ["GROUP_WORLD_SIZE"]) == 1:
        # Not by its URL: torch would look for a file with the URL's %20 in its name, for ever.
        store = dist.FileStore(str(meeting), count)  # type: ignore[attr-defined]
        store.set_timeout(WAIT)
        given = {"store": store, "rank": rank, "world_size": count}
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    dist.init_process_group(backend, timeout=WAIT, **given)
    group = dist.group.WORLD
    try:
        yield Worker(
            rank, count, gather, dist.barrier, send=send, in_step=in_step,
            local_rank=local_rank(), local_count=int(os.environ["LOCAL_WORLD_SIZE"]),
        )  # fmt: skip
    finally:
        # A trainer lies in a cycle, and keeps the group's threads. One that still lets go of a
        # tensor while Python ends aborts the process: `group` has to be the last reference.
        gc.collect()
        del group


def local_rank() -> int:
    """Return which process of this machine this is."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def gather(values: list[Any]) -> list[Any]:
    """Return one list of the lists of all processes."""
    found: list[list[Any]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(found, values)
    return [value for values in found for value in values]


def send(tensors: Mapping[str, torch.Tensor]) -> None:
    """Give every process what the first has in these tensors, in place."""
    for name in sorted(tensors):
        on_its_way = tensors[name].detach().cpu().contiguous()
        dist.broadcast(on_its_way, 0)
        with torch.no_grad():
            tensors[name].copy_(on_its_way)


def send_files(worker: Worker, folder: Path, names: list[str]) -> None:
    """Give every other process files of the first's folder, in a folder of its own."""
    has_them = worker.rank == 0
    sizes = [(name, (folder / name).stat().st_size) for name in names] if has_them else []
    for name, size in worker.of_first(sizes):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb" if has_them else "wb") as file:
            for first in range(0, size, CHUNK):
                count = min(CHUNK, size - first)
                sent = torch.empty(count, dtype=torch.uint8)
                if has_them:
                    sent = torch.frombuffer(bytearray(file.read(count)), dtype=torch.uint8)
                dist.broadcast(sent, 0)
                if not has_them:
                    file.write(sent.numpy().tobytes())
