"""What is known of a base model and of this machine before torch is loaded: for estimates."""

from __future__ import annotations

import functools
import math
import os
import time
from pathlib import Path
from typing import Any

from bakery.costs import Shape
from bakery.engine.bases import bases, folders
from bakery.engine.bases.gguf import header, kept
from bakery.errors import BakeryError
from bakery.identity import BaseModelId

MEASURED_S, SIZE = 0.2, 512
"""For how long the speed is measured, and by products of how large matrices."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def shape_of(base: BaseModelId, dtype: str = "auto") -> Shape | None:
    """Return the shape of a base that lies on this machine; None where its files do not say it.

    `dtype` is what its weights are loaded as; `auto`: as they are stored.
    """
    try:
        if base.name != bases.EMBEDDED and not bases.is_here(base.name):
            return None  # of the hub: nothing is fetched for an estimate
        place, _ = bases.locate(base.name, base.revision)
        found = _of_file(place, base) if place.is_file() else _of_folder(place)
    except (BakeryError, OSError, ArithmeticError, ValueError, KeyError, TypeError, AttributeError):
        return None
    shape, stored = found
    return _with_itemsize(shape, BYTES.get(stored if dtype == "auto" else dtype, 4))


def _of_folder(place: Path) -> tuple[dict[str, int], str]:
    config = folders.read(place / folders.CONFIG)
    said: dict[str, Any] = {**config, **(config.get("text_config") or {})}
    layers, hidden = int(said["num_hidden_layers"]), int(said["hidden_size"])
    heads = int(said["num_attention_heads"])
    head = int(said.get("head_dim") or hidden // heads)
    stored = str(said.get("dtype") or said.get("torch_dtype") or "float32")
    size = sum(file.stat().st_size for file in place.glob("*.safetensors"))
    shape = {
        "parameters": size // BYTES.get(stored, 4),
        "layers": layers,
        "hidden": hidden,
        "wide": int(said.get("intermediate_size") or 4 * hidden),
        "vocabulary": int(said["vocab_size"]),
        "keys": 2 * layers * head * int(said.get("num_key_value_heads") or heads),
    }
    return shape, stored


def _of_file(place: Path, base: BaseModelId) -> tuple[dict[str, int], str]:
    found = header.read(place)

    def number(key: str, otherwise: int = 0) -> int:
        value = found.of_model(key)
        return int(value) if isinstance(value, int) else otherwise

    layers, hidden = number("block_count"), number("embedding_length")
    heads = number("attention.head_count")
    head = number("attention.key_length", hidden // heads if heads else 0)
    shape = {
        "parameters": found.weights,
        "layers": layers,
        "hidden": hidden,
        "wide": number("feed_forward_length", 4 * hidden),
        "vocabulary": found.arrays["tokenizer.ggml.tokens"],
        "keys": 2 * layers * head * number("attention.head_count_kv", heads),
        "is_packed": int(not kept.place(base.digest).is_dir()),
    }
    return shape, found.dtype


def _with_itemsize(shape: dict[str, int], itemsize: int) -> Shape | None:
    if not all(shape[key] > 0 for key in ("parameters", "layers", "hidden", "vocabulary", "keys")):
        return None
    is_packed = bool(shape.pop("is_packed", 0))
    return Shape(**shape, itemsize=itemsize, is_packed=is_packed)


@functools.cache
def rate() -> float:
    """Return how many operations a second products of matrices get on this CPU, as it is busy."""
    import numpy as np

    square = np.ones((SIZE, SIZE), dtype=np.float32)
    square @ square  # the first one also sets things up
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < MEASURED_S:
        square @ square
        count += 1
    return 2 * SIZE**3 * max(count, 1) / max(spent, 1e-9)


def memory() -> int:
    """Return how many bytes of memory this machine has, whatever else is running."""
    if not hasattr(os, "sysconf"):
        return 8 << 30
    return math.floor(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
