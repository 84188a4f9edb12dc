"""How much memory a batch may take, and what becomes of it afterwards."""

from __future__ import annotations

import ctypes
import functools
import gc
import platform

import torch
from torch import nn

from bakery.costs import Shape
from bakery.engine.bases import machine

SHARE_OF_HOST, SHARE_OF_DEVICE = 1 / 8, 1 / 3
"""What keys and values of one batch may take of the machine's memory, or of a GPU's free one."""

TRAINING_SHARE = 4
"""A training takes at most this part of the machine's memory, where it can run fewer at once."""


def cache_bytes(device: torch.device) -> int:
    """Return how many bytes of keys and values one batch may hold.

    On a CPU it is a share of what the machine has, not of what is free: a batch should not depend
    on what else is running.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        # What the allocator keeps of freed tensors is free, too.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free * SHARE_OF_DEVICE)
    return int(machine.memory() * SHARE_OF_HOST)


def training_budget(device: torch.device, sharing: int = 1) -> int:
    """Return how many bytes a training may take where nobody says how much is run at once.

    So many processes are `sharing` the machine; each has a GPU of its own.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1] * SHARE_OF_DEVICE)
    return machine.memory() // TRAINING_SHARE // sharing


def shape_of(model: nn.Module) -> Shape:
    """Return the shape of a loaded model, its adapters not counted."""
    config = model.config.get_text_config()  # type: ignore[operator, union-attr]
    width = next(model.parameters()).element_size()
    hidden = config.hidden_size
    return Shape(
        parameters=sum(p.numel() for p in model.parameters() if not p.requires_grad),
        layers=config.num_hidden_layers,
        hidden=hidden,
        wide=getattr(config, "intermediate_size", None) or 4 * hidden,
        vocabulary=config.vocab_size,
        keys=bytes_per_token(model) // width,
        itemsize=width,
    )


def bytes_per_token(model: nn.Module) -> int:
    """Return what keys and values of one token take in all layers, going by the configuration."""
    config = model.config.get_text_config()  # type: ignore[operator, union-attr]
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    width = next(model.parameters()).element_size()
    return int(2 * config.num_hidden_layers * kv_heads * size * width)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc reuse the memory of freed tensors instead of handing it back to the system.

    Fresh pages have to be cleared by the kernel at first touch: on the embedded model that takes
    a third of a forward pass. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    m_trim_threshold, m_mmap_threshold = -1, -3
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_mmap_threshold, 2**30)


def give_back() -> None:
    """Give what no tensor holds any more back to the accelerator: another process needs it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
