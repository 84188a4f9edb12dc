"""Folders of small models, written byte by byte: no tensor library is loaded for them."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from bakery.engine.bases import bases
from bakery.engine.bases.weights import ONE

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 988097824\n"
HIDDEN, WIDE, LAYERS = 8, 16, 2
SIZES = {"hidden_size": HIDDEN, "intermediate_size": WIDE, "num_hidden_layers": LAYERS,
         "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
         "layer_types": ["full_attention"] * LAYERS}  # fmt: skip


def shapes(tokens: int = 2048) -> dict[str, tuple[int, ...]]:
    """Return what a two-layer Qwen3 of that vocabulary holds."""
    layer = {
        "input_layernorm.weight": (HIDDEN,),
        "mlp.down_proj.weight": (HIDDEN, WIDE),
        "mlp.gate_proj.weight": (WIDE, HIDDEN),
        "mlp.up_proj.weight": (WIDE, HIDDEN),
        "post_attention_layernorm.weight": (HIDDEN,),
        "self_attn.k_norm.weight": (4,),
        "self_attn.k_proj.weight": (4, HIDDEN),
        "self_attn.o_proj.weight": (HIDDEN, 8),
        "self_attn.q_norm.weight": (4,),
        "self_attn.q_proj.weight": (8, HIDDEN),
        "self_attn.v_proj.weight": (4, HIDDEN),
    }
    return {
        "model.embed_tokens.weight": (tokens, HIDDEN),
        **{
            f"model.layers.{i}.{name}": shape
            for i in range(LAYERS)
            for name, shape in layer.items()
        },
        "model.norm.weight": (HIDDEN,),
    }


def write_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], **values: bytes) -> Path:
    """Write ones in bfloat16; `values` are bytes to begin with, by the end of a tensor's name."""
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, shape in sorted(shapes.items()):
        data = bytearray(b"\x80\x3f" * prod(shape))
        for key, value in values.items():
            if name.endswith(key.replace("__", ".")):
                data[: len(value)] = value
        head[name] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def model_folder(folder: Path, **config: Any) -> Path:
    """Write a whole small model with the embedded one's tokenizer and template."""
    tiny, _ = bases.locate(bases.EMBEDDED)
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                 "generation_config.json", "config.json"):  # fmt: skip
        shutil.copy(tiny / name, folder / name)
    change(folder / "config.json", **SIZES, **config)
    write_weights(folder / ONE, shapes())
    return folder


def change(path: Path, **values: Any) -> None:
    """Change keys of a JSON file; None takes one out."""
    data = {**json.loads(path.read_text(encoding="utf-8")), **values}
    kept = {key: value for key, value in data.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
