"""What a bake asks for that this machine may not have, found out before anything is made."""

from __future__ import annotations

import importlib.util

from bakery.errors import ConfigError
from bakery.identity import Running

FLASH = "flash_attention_2"


_TRACKERS = {
    "wandb": ", then `wandb login` or WANDB_API_KEY",
    "trackio": "",
    "tensorboard": "",
}
"""What shows figures, by its package, and what else it needs."""


def check(running: Running) -> list[str]:
    """Refuse to send figures without what does it; return what is done differently here."""
    for name, then in _TRACKERS.items():
        if getattr(running, name) is not None and importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"BAKE.{name}.enable needs the package {name}, which is not installed",
                hint=f"`pip install {name}`{then}; or take it out.",
            )
    return other_attention(running.attn_implementation, "BAKE.model.attn_implementation")


def attention(asked: str | None) -> str | None:
    """Return the attention to load a base with. None: what it is configured for."""
    return None if asked == FLASH and not _can_flash() else asked


def other_attention(asked: str | None, setting: str) -> list[str]:
    """Return what to say of it where a base is loaded with another attention than was asked for."""
    if attention(asked) == asked:
        return []
    return [
        f"{setting} is {FLASH}, which needs an NVIDIA GPU and the package flash-attn: "
        "here the base model's own attention does the same, to rounding"
    ]


def _can_flash() -> bool:
    if importlib.util.find_spec("flash_attn") is None:
        return False
    import torch

    return torch.cuda.is_available()
