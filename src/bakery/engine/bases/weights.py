"""Files of weights, told from their heads: whole, all of one model, and of numbers.

Any size in a head may be a lie: nothing is read beyond the file or `heads.LONGEST`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakery import json_file, pointers
from bakery.engine.bases import heads
from bakery.engine.bases.heads import Tensor
from bakery.errors import ModelError
from bakery.json_file import DamagedError

ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
AGAIN = "Was its download or copy stopped? Fetch it again."

_IN_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.(.+)")
_ALIKE = frozenset(
    {"gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo2", "phi3", "qwen2",
     "qwen3", "smollm3"}
)  # fmt: skip
"""Kinds of models whose layers all hold the same weights: one that lacks some is damaged."""
_EXPONENT = {"F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
_PIECE = 1 << 20
"""So many numbers are looked at once: they stay in the processor's own memory."""


def of_folder(place: Path) -> dict[str, Tensor]:
    """Return every tensor that transformers reads from a folder, by name.

    ModelError where a file is missing, cut short, or a git-lfs pointer.
    """
    found: dict[str, Tensor] = {}
    for path in files(place):
        for name, tensor in read(path).items():
            if name in found:
                raise ModelError(f"{path} and {found[name].path.name} both hold {name}")
            found[name] = tensor
    return found


def files(place: Path) -> list[Path]:
    """Return the files that transformers reads weights from: the one, or those of the index."""
    if (place / ONE).is_file():
        return [place / ONE]
    index = place / INDEX
    if not index.is_file():
        found = sorted(path.name for path in place.glob("*.safetensors"))
        raise ModelError(
            f"{place} holds neither {ONE} nor {INDEX}"
            + (f", and {', '.join(found[:3])} alone is not read" if found else ""),
            hint=f"Call it {ONE}." if len(found) == 1 else AGAIN,
        )
    names = sorted(set(_weight_map(index).values()))
    for name in names:
        if not (place / name).is_file():
            raise ModelError(f"{place} lacks {name}, which {INDEX} names", hint=AGAIN)
    return [place / name for name in names]


def _weight_map(index: Path) -> Mapping[str, str]:
    try:
        found = json_file.load(index, most=heads.LONGEST, strict=False)["weight_map"]
        if not found or not all(isinstance(name, str) for name in found.values()):
            raise ValueError("its weight_map names no files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if pointers.lies_at(index):
            raise pointer(index) from error
        raise ModelError(f"{index} is damaged: {_said(error)}", hint=AGAIN) from error
    for name in found.values():
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{index} names {name!r:.80}, which is no safetensors file beside it")
    return dict(found)


def pointer(path: Path) -> ModelError:
    """Return what to say where a git-lfs pointer lies in place of a file."""
    return ModelError(
        f"{path} is a git-lfs pointer, not the file it stands for", hint=pointers.PULL
    )


def read(path: Path) -> dict[str, Tensor]:
    """Return what a safetensors file holds; ModelError where it is not a whole one."""
    try:
        return heads.read(path)
    except (OSError, DamagedError) as error:
        if pointers.lies_at(path):
            raise pointer(path) from error
        raise ModelError(
            f"{path} is not a whole safetensors file: {_said(error)}", hint=AGAIN
        ) from error


def check_complete(name: str, found: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Refuse weights that lack a layer, or a part of one; what only loading shows is left to it."""
    inner = config.get("text_config")
    said = {**config, **inner} if isinstance(inner, dict) else config
    layers: dict[int, set[str]] = {}
    where = ""
    for key in found:
        match = _IN_LAYER.search(key)
        if match:
            layers.setdefault(int(match[1]), set()).add(match[2])
            where = key[: match.start(1)]
    count = said.get("num_hidden_layers") or said.get("n_layer") or said.get("n_layers")
    if not layers or not isinstance(count, int):
        return
    if count > max(layers) + 1:
        raise lacking(name, [f"{where}{max(layers) + 1}"], f"config.json says {count} layers")
    if said.get("model_type") not in _ALIKE or "quantization_config" in config:
        return
    whole = set().union(*(parts for number, parts in layers.items() if number < count))
    lacks = [
        f"{where}{number}.{part}"
        for number in range(count)
        for part in sorted(whole - layers.get(number, set()))
    ]
    outside = ["embed_tokens.weight", "norm.weight"]
    if config.get("tie_word_embeddings") is False:
        outside.append("lm_head.weight")
    own = [key for key in found if not _IN_LAYER.search(key)]
    lacks += [part for part in outside if not any(f".{key}".endswith(f".{part}") for key in own)]
    if lacks:
        raise lacking(name, lacks)
    for part, shape in _shapes(said).items():
        for key, tensor in found.items():
            if f".{key}".endswith(f".{part}") and None not in shape and tensor.shape != shape:
                raise differing(name, key, tensor.shape, shape)


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int | None, ...]]:
    """Return what shapes a configuration means for weights that most models have; None: unsaid."""
    hidden, wide, heads, keys, each = (
        found if type(found := config.get(key)) is int else None
        for key in (
            "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
            "head_dim",
        )
    )  # fmt: skip
    each = each or (hidden // heads if hidden and heads else None)
    asked, known = (count * each if count and each else None for count in (heads, keys))
    return {
        "embed_tokens.weight": (config.get("vocab_size"), hidden),
        "input_layernorm.weight": (hidden,),
        "mlp.up_proj.weight": (wide, hidden),
        "mlp.gate_proj.weight": (wide, hidden),
        "mlp.down_proj.weight": (hidden, wide),
        "self_attn.q_proj.weight": (asked, hidden),
        "self_attn.k_proj.weight": (known, hidden),
        "self_attn.v_proj.weight": (known, hidden),
        "self_attn.o_proj.weight": (hidden, asked),
    }


def differing(
    name: str, key: str, stored: Sequence[int], meant: Sequence[int | None]
) -> ModelError:
    """Return what to say of a weight of another shape than its model has."""
    said, asked = ("×".join(map(str, shape)) or "one number" for shape in (stored, meant))
    return ModelError(
        f"{name} stores {key} as {said}, and its config.json makes it {asked}",
        hint="Weights and config.json are of two models: fetch both again.",
    )


def lacking(name: str, keys: Sequence[str], why: str = "") -> ModelError:
    """Return what to say of weights that a model needs and its files do not have."""
    shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    return ModelError(
        f"{name} lacks {shown}" + (f": {why}" if why else ""),
        hint="Such weights would be made up at random. Fetch or convert the model again.",
    )


def check_finite(name: str, found: Mapping[str, Tensor]) -> None:
    """Refuse weights of which one is no number (NaN) or without end (Inf)."""
    import numpy as np  # here: heads alone need no arrays

    for key, tensor in found.items():
        if tensor.dtype not in heads.FLOATS or tensor.start == tensor.stop:
            continue
        size = heads.BITS[tensor.dtype] // 8
        kind, mask = _EXPONENT.get(tensor.dtype, (f"<f{size}", 0))
        count = (tensor.stop - tensor.start) // size
        values = np.memmap(tensor.path, dtype=kind, mode="r", offset=tensor.start, shape=(count,))
        for at in range(0, count, _PIECE):
            piece = values[at : at + _PIECE]
            if mask:
                is_bad = bool(((piece & mask) == mask).any())
            else:  # a sum is quick, and none of finite numbers is asked twice without need
                with np.errstate(over="ignore", invalid="ignore"):
                    is_bad = not np.isfinite(piece.sum()) and not np.isfinite(piece).all()
            if is_bad:
                raise not_finite(name, key)


def not_finite(name: str, key: str) -> ModelError:
    """Return what to say of a weight that is no number."""
    return ModelError(
        f"{name} holds values that are no finite numbers (NaN or Inf) in {key}",
        hint="Whatever such a model says is nonsense. Fetch or convert it again.",
    )


def _said(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
