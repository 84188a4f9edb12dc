"""Seconds and memory of work on a device, up to its last kernel."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.meter import Meter

UNIT = 2.0**-8
"""The most that one rounding to bf16, which keeps 8 bits, is off: of the number that is rounded."""

WARM_UP = 2
PRODUCTS = 10


def here() -> str:
    """Return the device that is measured: a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def about(device: str) -> dict[str, Any]:
    """Return what a result file says of the device."""
    if device != "cuda":
        return {"device": "cpu", "threads": torch.get_num_threads()}
    found = torch.cuda.get_device_properties(0)
    return {
        "device": found.name,
        "memory_gb": round(found.total_memory / 1e9, 1),
        "capability": f"{found.major}.{found.minor}",
        "cuda": torch.version.cuda,
    }


def wait(device: str) -> None:
    """Wait for what a GPU still does: without it, only the launch of a kernel is timed."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(device: str, work: Callable[[], Any]) -> float:
    """Return the wall-clock seconds of some work."""
    wait(device)
    begin = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begin


def median_s(device: str, work: Callable[[], Any], *, warm_up: int, repeats: int) -> float:
    """Return the median seconds of some work, once it is warm."""
    for _ in range(warm_up):
        work()
    return statistics.median(timed(device, work) for _ in range(repeats))


def grown_mb(device: str, work: Callable[[], Any]) -> float:
    """Return by how many MB some work raises the memory at most, over what is held before."""
    if device != "cuda":
        with Meter() as meter:
            work()
        return meter.grown_mb
    freed()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def forget_peak(device: str) -> None:
    """Begin a new peak of memory."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def peak_gb(device: str) -> float:
    """Return the most memory that tensors have held since; 0 on a CPU, which does not count it."""
    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0


def freed() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def matrix_peak(device: str, size: int) -> float:
    """Return the operations a second that a large square product of bf16 reaches here."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(WARM_UP):
        a @ b
    best = min(timed(device, lambda: a @ b) for _ in range(PRODUCTS))
    return 2 * size**3 / best
