"""GGUF files as converters write them, small ones, and what a stranger may have put into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.support.vocabulary import CHATML, SPECIALS, byte_vocabulary

CONTROL, NORMAL = 3, 1
MERGES = ("t h", "th e", "i n", "Ġ the")
"""Enough for a text to be cut into other tokens than its bytes."""


def vocabulary() -> list[str]:
    """Return the tokens of a byte-level vocabulary with a few merges, in the order of their ids."""
    return [*byte_vocabulary(), *(merge.replace(" ", "") for merge in MERGES)]


def metadata(architecture: str = "llama", **changes: Any) -> dict[str, Any]:
    """Return what the file of a small chat model says; a change to None leaves an entry out."""
    tokens = vocabulary()
    own = {
        "context_length": 512,
        "embedding_length": 32,
        "block_count": 2,
        "feed_forward_length": 64,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": 8,
        "rope.freq_base": 10000.0,
        "vocab_size": len(tokens),
    }
    common = {
        "general.type": "model",
        "general.name": "small",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if t in SPECIALS else NORMAL for t in tokens],
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHATML,
    }
    said = {**common, **{f"{architecture}.{key}": value for key, value in own.items()}, **changes}
    return {key: value for key, value in said.items() if value is not None}


def write(
    path: Path,
    said: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
    *,
    architecture: str = "llama",
    kind: gguf.GGMLQuantizationType | None = None,
) -> Path:
    """Write a file; `kind` is how matrices are stored. None: as numbers."""
    writer = gguf.GGUFWriter(str(path), architecture)
    for key, value in (metadata(architecture) if said is None else said).items():
        _ADD[type(value)](writer, key, value)
    found = {"token_embd.weight": np.ones((4, 32), np.float32)} if tensors is None else tensors
    for name, values in found.items():
        if kind is None or values.ndim < 2:
            writer.add_tensor(name, np.ascontiguousarray(values))
        else:
            writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_ADD: Mapping[type, Any] = {
    str: gguf.GGUFWriter.add_string,
    bool: gguf.GGUFWriter.add_bool,
    int: gguf.GGUFWriter.add_uint32,
    float: gguf.GGUFWriter.add_float32,
    list: gguf.GGUFWriter.add_array,
}
