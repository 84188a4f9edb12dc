"""Prompt baking: context in, a small LoRA adapter out.

The public names are imported when they are first used, so that `import bakery` loads no tensors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bakery.engine.context_trainer import ContextBakingTrainer, PromptBakingTrainer
    from bakery.engine.data.datasets import (
        create_conversational_dataset,
        create_dataset,
        load_conversations,
        load_dataset,
        prompt_baking_collator,
    )
    from bakery.engine.losses import compute_kl_divergence
    from bakery.engine.settings.config import BakeryConfig, ContextConfig, DataConfig, LoraConfig
    from bakery.engine.target_mask import build_target_mask

__version__ = "0.1.0"

__all__ = [
    "BakeryConfig",
    "ContextBakingTrainer",
    "ContextConfig",
    "DataConfig",
    "LoraConfig",
    "PromptBakingTrainer",
    "build_target_mask",
    "compute_kl_divergence",
    "create_conversational_dataset",
    "create_dataset",
    "load_conversations",
    "load_dataset",
    "prompt_baking_collator",
]

_HOMES = {
    "BakeryConfig": "settings.config",
    "ContextBakingTrainer": "context_trainer",
    "ContextConfig": "settings.config",
    "DataConfig": "settings.config",
    "LoraConfig": "settings.config",
    "PromptBakingTrainer": "context_trainer",
    "build_target_mask": "target_mask",
    "compute_kl_divergence": "losses",
    "create_conversational_dataset": "data.datasets",
    "create_dataset": "data.datasets",
    "load_conversations": "data.datasets",
    "load_dataset": "data.datasets",
    "prompt_baking_collator": "data.datasets",
}


def __getattr__(name: str) -> Any:
    """Import a public name at the moment it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bakery.engine.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
