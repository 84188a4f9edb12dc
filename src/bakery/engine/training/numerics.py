"""Choices that change speed and rounding, but not what is computed: made once, and written down.

What is fastest depends on the machine, so it is measured on the shapes at hand. A run that is
given the choices of an earlier one takes those, so that the same machine gives the same digest.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bakery import json_file
from bakery.engine.packed.attention import Rule
from bakery.engine.packed.layouts import Packed, Segment
from bakery.identity import digest
from bakery.records import write_atomic

KERNELS = ("sdpa", "explicit")
FILE = "numerics.json"
ROUNDS = 2
CLEARLY = 0.8
"""The usual kernel stays unless the other takes less than this share of its time."""

WORTH_MEASURING, MEASURED = 1024, 512
"""Tokens of a batch from which on a measurement says more than its noise, and how many, in whole
segments, are measured. Smaller batches take the usual kernel: the same on every machine."""


@dataclass(frozen=True, slots=True)
class Numerics:
    """How a student is run."""

    layout: str
    """shared or packed: one sequence without padding; padded: rows of one length (`examples`)."""
    attention: str
    """sdpa or explicit, in a packed sequence; else what the model was loaded with."""
    threads: int
    loss: str
    """fused: with the head, in chunks; logits: from the model's whole logits."""
    model: str
    """Digest of the shapes of the model and its adapters: what the choices were made for."""
    why: str = ""
    """Why the layout is `padded`."""
    processes: int = 1
    """How many add their gradients up."""
    sharded: bool = False
    """Whether they share the base's weights out, and so run it on parts that are put together."""

    def as_data(self) -> dict[str, Any]:
        """Return what bake.json says."""
        usual = {"why": "", "processes": 1, "sharded": False}
        return {name: value for name, value in asdict(self).items() if value != usual.get(name)}

    def __str__(self) -> str:
        threads = f"{self.threads} CPU thread{'s' if self.threads > 1 else ''}"
        layout = f"{self.layout} ({self.why})" if self.why else self.layout
        each = f" in each of {self.processes} processes" if self.processes > 1 else ""
        share = ", which share the base" if self.sharded else ""
        how = f"attention {self.attention}, loss {self.loss}, {threads}{each}{share}"
        return f"layout {layout}, {how}"


def shapes(model: nn.Module) -> str:
    """Return a digest of a model's kind, and of the names and shapes of all that it holds."""
    held = [[name, list(parameter.shape)] for name, parameter in model.named_parameters()]
    return digest([type(model).__name__, held])[:16]


def written_in(path: Path) -> Numerics | None:
    """Return what an earlier run wrote down, or None. Any other file counts as none."""
    try:
        found = Numerics(**json_file.load_object(path))
    except (OSError, ValueError, TypeError):
        return None
    packed = found.layout in ("shared", "packed") and found.attention in KERNELS
    known = found.layout == "padded" or packed
    counts = found.threads, found.processes
    known = known and type(found.sharded) is bool
    return found if known and all(type(n) is int and n > 0 for n in counts) else None


def in_as_many(found: Numerics, processes: int, *, sharded: bool) -> Numerics:
    """Return choices as so many processes take them: the threads are those that they were made for.

    Where other numbers of processes share the cores, each keeps the threads that it was given.
    """
    found = replace(found, sharded=sharded)
    if found.processes == processes:
        torch.set_num_threads(found.threads)
        return found
    return replace(found, threads=torch.get_num_threads(), processes=processes)


def write(path: Path, numerics: Numerics) -> None:
    """Write choices down, for a run that goes on or is made again."""
    write_atomic(path, json.dumps(numerics.as_data(), indent=2) + "\n")


def faster_kernel(config: Any, segments: tuple[Segment, ...], device: torch.device) -> str:
    """Compare forward and backward of both kernels at these segments' shapes.

    Measured on CPUs and large batches only: elsewhere the usual kernel is taken.
    """
    if device.type != "cpu" or sum(map(len, segments)) < WORTH_MEASURING:
        return KERNELS[0]
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    chosen: list[Segment] = []
    total = 0
    for segment in segments:
        if not chosen or total + len(segment) <= MEASURED:
            chosen.append(segment)
            total += len(segment)
    with torch.random.fork_rng(devices=[]):
        tensors = [torch.randn(1, n, total, size) for n in (heads, kv_heads, kv_heads)]
    took = dict.fromkeys(KERNELS, float("inf"))
    for _ in range(ROUNDS + 1):  # the first round only warms up, as `min` keeps the best
        for kernel in KERNELS:
            layout = Packed([(None, chosen)], kernel)
            qkv = [t.detach().requires_grad_() for t in tensors]
            start = time.perf_counter()
            q, k, v = qkv
            layout.attend(nn.Identity(), q, k, v, Rule(size**-0.5)).sum().backward()
            took[kernel] = min(took[kernel], time.perf_counter() - start)
    usual, other = KERNELS
    return other if took[other] < CLEARLY * took[usual] else usual
