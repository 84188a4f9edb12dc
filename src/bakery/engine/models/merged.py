"""A model with its adapter in its weights: for programs that know nothing of adapters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from bakery.errors import ConfigError


def check(model: PeftModel) -> None:
    """Refuse a merge that would change what is read where only what is said was learnt."""
    base = model.get_base_model()
    tied = base.config.get_text_config().tie_word_embeddings
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    if tied and any(list(end.children()) for end in ends):
        raise ConfigError(
            "merge: embedding and head are one matrix here, and the adapter changes one end of it",
            hint="Leave embed_tokens and lm_head out of target_modules, or do not merge: "
            "the adapter is right either way.",
        )


def write(
    model: PeftModel, tokenizer: Any, folder: Path, *, dtype: torch.dtype | None = None
) -> None:
    """Write the base with the adapter in its weights, and the tokenizer, to a new folder.

    The sum is made in the dtype of the loaded weights, and rounded to `dtype` (None: kept) once.
    """
    merged: Any = model.merge_and_unload(safe_merge=True)
    (merged if dtype is None else merged.to(dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def lost_by_rounding(model: PeftModel, dtype: torch.dtype) -> float:
    """Return how much of what the adapter adds is lost where the sum is rounded: 0 none, 1 all."""
    lost = added = 0.0
    for layer in model.modules():
        if not isinstance(layer, LoraLayer):
            continue
        weight = layer.get_base_layer().weight.detach()
        for name in layer.active_adapters:
            if name in layer.lora_A:
                delta = layer.get_delta_weight(name).detach()
                whole = weight + delta
                lost += float((whole - whole.to(dtype).to(whole.dtype)).square().sum())
                added += float(delta.square().sum())
    return math.sqrt(lost / added) if added else 0.0
