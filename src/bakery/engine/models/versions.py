"""What a bake was made with, to be kept beside its result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import peft
import torch
import transformers

import bakery


def versions(unpacked: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the versions of all that can change a number.

    `unpacked` says how the base came out of a GGUF file; None or empty: it is not such a file.
    """
    return {
        "bakery": bakery.__version__,
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "device": _device(),
        **({"base": dict(unpacked)} if unpacked else {}),
    }


def _device() -> str:
    """Return what computes: two kinds of it round differently."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
