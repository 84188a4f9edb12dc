"""What a bake was made with, to be kept beside its result."""

from __future__ import annotations

import platform
from typing import Any

import peft
import torch
import transformers

import bakery


def versions() -> dict[str, Any]:
    """Return the versions of all that can change a number."""
    return {
        "bakery": bakery.__version__,
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": _device(),
    }


def _device() -> str:
    """Return what computes: two kinds of it round differently."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
