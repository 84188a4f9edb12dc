"""How a Llama 3 stretches its positions, worked out from the factors that its GGUF file holds.

The file has one factor for each frequency, and not the four numbers they were made of, which
transformers wants. Three of these are the same in all Llama 3, and the factors show the fourth.
"""

from __future__ import annotations

import torch
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from bakery.engine.bases.gguf import refused
from bakery.engine.bases.gguf.header import Header
from bakery.errors import ModelError

_LLAMA_3 = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_CLOSE = 1e-3
"""Relative; the factors are rounded to fp32, and other numbers give quite other ones."""


def stretch(found: Header, config: PreTrainedConfig) -> None:
    """Have a configuration stretch positions as its file does; ModelError where it cannot."""
    if refused.FACTORS not in found.tensors:
        return
    factors = torch.tensor(found.floats(refused.FACTORS))
    config.rope_parameters = {
        **config.rope_parameters,
        **_LLAMA_3,
        "rope_type": "llama3",
        "factor": float(factors.max()),
    }
    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device=torch.device("cpu"))
    steps = torch.arange(len(stretched), dtype=torch.float32) / len(stretched)
    plain = 1.0 / config.rope_parameters["rope_theta"] ** steps
    same_size = len(factors) == len(stretched)
    if not same_size or not torch.allclose(plain / stretched, factors, rtol=_CLOSE, atol=0):
        raise ModelError(
            f"{found.path.name} stretches its positions ({refused.FACTORS}) otherwise than a "
            "Llama 3 does, and transformers has to be told how",
            hint=refused.SAFETENSORS,
        )
