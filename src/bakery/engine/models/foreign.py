"""An adapter of other tools as a composed one: B·A and nothing more, of one rank for all layers.

What scales it is put into B, and layers of fewer ranks get ranks that do nothing, so it computes
what it did. What does more than that (DoRA, whole layers, biases) is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bakery import json_file
from bakery.engine.models import joined
from bakery.engine.models.adapter_folder import CONFIG, WEIGHTS
from bakery.errors import ModelError
from bakery.json_file import DamagedError

_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")

_READ = frozenset((
    "peft_type", "bias", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
))  # fmt: skip
_NOTHING_MORE = frozenset((
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
    "exclude_modules", "inference_mode", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core",
    "peft_version", "qalora_group_size", "revision", "runtime_config", "target_modules",
    "task_type",
))  # fmt: skip
"""Keys of a configuration that change nothing once an adapter is trained: any other has it do more
than B·A wherever it says something."""

_LITERAL = re.compile(r"[\w.-]+")


def compose(source: Path, out: Path, *, bake_id: str, base: str, revision: str) -> int:
    """Write an adapter's folder anew as a composed one, and return its rank.

    ModelError where it is none that can be.
    """
    try:
        config = json_file.load_object(source / CONFIG, most=json_file.MB)
        factors = _factors(load_file(str(source / WEIGHTS)), config)
    except (DamagedError, OSError) as error:
        raise ModelError(
            f"this adapter cannot be gone on from: {error}",
            hint="A LoRA of B·A alone can: PEFT's own, without DoRA, biases or whole layers.",
        ) from error
    return joined.write(out, factors, bake_id=bake_id, parent=None, base=base, revision=revision)


def _factors(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> joined.Factors:
    """Return A and B of each layer, scaled and of one rank; DamagedError where it is not that."""
    if config.get("peft_type") != "LORA":
        raise DamagedError(f"it is of the kind {str(config.get('peft_type'))[:40]!r}, not a LoRA")
    if config.get("bias", "none") != "none":
        raise DamagedError("it changes biases, too")
    more = sorted(key for key in config.keys() - _READ - _NOTHING_MORE if config[key])
    if more:
        raise DamagedError(f"it does more than B·A ({more[0][:60]})")
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        factor = _FACTOR.fullmatch(name)
        if factor is None or tensor.ndim != 2:
            raise DamagedError(f"it holds {name[:100]}, which is no factor of a LoRA")
        pairs.setdefault(factor[1], {})[factor[2]] = tensor.float()
    if not pairs or any(len(pair) != 2 for pair in pairs.values()):
        raise DamagedError("it has a layer with one factor of two, or none at all")
    found = {}
    for name, pair in sorted(pairs.items()):
        a_RI, b_OR = pair["A"], pair["B"]
        rank = len(a_RI)
        if rank == 0 or b_OR.shape[1] != rank:
            raise DamagedError(f"the factors of {name[:100]} do not fit each other")
        if rank != _of(config, "rank_pattern", name, config.get("r", 8)):
            raise DamagedError(f"{name[:100]} has rank {rank}, its configuration says another")
        found[name] = a_RI, b_OR * _scale(config, name, rank)
    most = max(len(a_RI) for a_RI, _ in found.values())
    return {name: _widened(pair, most) for name, pair in found.items()}


def _scale(config: Mapping[str, Any], layer: str, rank: int) -> float:
    alpha = float(_of(config, "alpha_pattern", layer, config.get("lora_alpha", 8)))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _of(config: Mapping[str, Any], pattern: str, layer: str, usual: Any) -> Any:
    """Return what holds for a layer: what is said of the end of its name, the first of them.

    PEFT takes a pattern there; of a stranger, none is run.
    """
    for name, value in (config.get(pattern) or {}).items():
        if not _LITERAL.fullmatch(name):
            raise DamagedError(f"{pattern} has a pattern, {name[:40]!r}, where a name is read")
        if f".{layer}".endswith(f".{name}"):
            return value
    return usual


def _widened(
    pair: tuple[torch.Tensor, torch.Tensor], rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    a_RI, b_OR = pair
    short, pad = rank - len(a_RI), torch.nn.functional.pad
    return pad(a_RI, (0, 0, 0, short)), pad(b_OR, (0, short))
