"""A frozen base whose layers are shared out over processes: each holds a part of every weight.

A layer is put together while it runs, and its parts are let go behind it (FSDP2's `fully_shard`).
Adapters are small: every process has them whole, so all that reads and writes them stays as it is.
So are embeddings and the head, which the fused loss reads as one matrix.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import nn

from bakery.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bakery.engine.workers import Worker

GIB = 1 << 30


def share_out(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    """Share the weights of a base's layers out over all processes, and put the rest on `device`.

    It comes from the memory of the host, so that no device ever holds it whole.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    layers = layers_of(model)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    inside = {id(p) for layer in layers for p in layer.parameters()}
    rest = {p for p in model.parameters() if id(p) not in inside}
    # The root has no weights of its own: it has the layers work together.
    fully_shard(model, mesh=mesh, ignored_params=rest)
    for parameter in rest:
        parameter.data = parameter.data.to(device)
    for buffer in model.buffers():
        buffer.data = buffer.data.to(device)
    return model


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """Return what transformers says is not to be split: the layers of a decoder."""
    names = set(model._no_split_modules or ())
    found = [module for module in model.modules() if type(module).__name__ in names]
    if not found:
        raise ModelError(
            f"{type(model).__name__} does not say what its layers are, so it cannot be shared out",
            hint="Leave --shard out: every process then holds the whole base.",
        )
    return found


def is_shared_out(model: nn.Module) -> bool:
    """Tell whether processes share the weights of a model's base out."""
    if not (dist.is_available() and dist.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor

    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def held(model: nn.Module) -> tuple[int, int]:
    """Return how many bytes of a model's weights this process holds, and how many there are."""
    from torch.distributed.tensor import DTensor

    own = whole = 0
    for parameter in model.parameters():
        whole += parameter.numel() * parameter.element_size()
        local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        own += local.numel() * local.element_size()
    return own, whole


def held_said(model: nn.Module, worker: Worker) -> str:
    """Say how much of a base a process holds."""
    own, whole = held(model)
    return (
        f"process {worker.rank} holds {own / GIB:.3g} of the base's {whole / GIB:.3g} GiB; "
        f"{_peak()} at its peak so far"
    )


def device_said(worker: Worker) -> str:
    """Say what a process trains on."""
    who = f"process {worker.rank} of {worker.count}"
    if torch.cuda.is_available():
        free, whole = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return f"{who}: {name}, {free / GIB:.3g} of {whole / GIB:.3g} GiB free"
    count = torch.get_num_threads()
    return f"{who}: CPU, {count} thread{'s' if count > 1 else ''}"


def _peak() -> str:
    """Return what a process has taken of its device's memory at most."""
    if torch.cuda.is_available():
        return f"{torch.cuda.max_memory_allocated() / GIB:.3g} GiB"
    import resource  # which Windows has not

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{most * (1 if sys.platform == 'darwin' else 1024) / GIB:.3g} GiB"
