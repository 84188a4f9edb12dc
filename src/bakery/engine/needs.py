"""What a bake asks for that this machine may not have, found out before anything is made."""

from __future__ import annotations

import importlib.util

from bakery.errors import ConfigError
from bakery.identity import Running


def check(running: Running) -> None:
    """Refuse to send figures, or to attend, without what does it."""
    if running.wandb is not None and importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            "BAKE.wandb.enable needs the package wandb, which is not installed",
            hint="`pip install wandb`, then `wandb login` or WANDB_API_KEY; or take it out.",
        )
    if running.attn_implementation == "flash_attention_2" and not _can_flash():
        raise ConfigError(
            "BAKE.model.attn_implementation is flash_attention_2, which needs an NVIDIA GPU and "
            "the package flash-attn",
            hint="Take it out: the attention that is used then needs nothing else.",
        )


def _can_flash() -> bool:
    if importlib.util.find_spec("flash_attn") is None:
        return False
    import torch

    return torch.cuda.is_available()
