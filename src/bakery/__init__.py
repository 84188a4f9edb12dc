"""Prompt baking: context in, a small LoRA adapter out.

The public names are imported when they are first used, so that `import bakery` loads no tensors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from bakery.api.bake import Bake, bake
    from bakery.api.model import Model, load
    from bakery.api.repo import Repo
    from bakery.api.serving import Server, serve
    from bakery.card import Card
    from bakery.data.datasets import (
        create_conversational_dataset,
        create_dataset,
        load_conversations,
        load_dataset,
        prompt_baking_collator,
    )
    from bakery.distil.target_mask import build_target_mask
    from bakery.distil.trainer import ContextBakingTrainer, PromptBakingTrainer
    from bakery.engine.loss.losses import compute_kl_divergence
    from bakery.settings.config import BakeryConfig, ContextConfig, DataConfig, LoraConfig

__all__ = [
    "Bake",
    "BakeryConfig",
    "Card",
    "ContextBakingTrainer",
    "ContextConfig",
    "DataConfig",
    "LoraConfig",
    "Model",
    "PromptBakingTrainer",
    "Repo",
    "Server",
    "bake",
    "build_target_mask",
    "compute_kl_divergence",
    "create_conversational_dataset",
    "create_dataset",
    "load",
    "load_conversations",
    "load_dataset",
    "prompt_baking_collator",
    "serve",
]

_HOMES = {
    "Bake": "bakery.api.bake",
    "Card": "bakery.card",
    "Model": "bakery.api.model",
    "Repo": "bakery.api.repo",
    "Server": "bakery.api.serving",
    "bake": "bakery.api.bake",
    "load": "bakery.api.model",
    "serve": "bakery.api.serving",
    "BakeryConfig": "bakery.settings.config",
    "ContextBakingTrainer": "bakery.distil.trainer",
    "ContextConfig": "bakery.settings.config",
    "DataConfig": "bakery.settings.config",
    "LoraConfig": "bakery.settings.config",
    "PromptBakingTrainer": "bakery.distil.trainer",
    "build_target_mask": "bakery.distil.target_mask",
    "compute_kl_divergence": "bakery.engine.loss.losses",
    "create_conversational_dataset": "bakery.data.datasets",
    "create_dataset": "bakery.data.datasets",
    "load_conversations": "bakery.data.datasets",
    "load_dataset": "bakery.data.datasets",
    "prompt_baking_collator": "bakery.data.datasets",
}


def __getattr__(name: str) -> Any:
    """Import a public name at the moment it is asked for."""
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def _version() -> str:
    """Return the version that was installed; it is looked up where it is asked for."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("prompt-bakery")
    except PackageNotFoundError:  # a checkout on the path
        return "0.1.0"


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
