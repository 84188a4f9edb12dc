"""Which architectures are written to GGUF, and what a file says of a model's shape.

llama.cpp computes some things otherwise than transformers, and silently: what it would leave out is
refused here. Whatever is not in the table is the official converter's to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from bakery.errors import ModelError

CONVERTER = (
    "`convert_hf_to_gguf.py` (for adapters `convert_lora_to_gguf.py`) of "
    "https://github.com/ggml-org/llama.cpp knows more models: give it a folder of `bgit download`."
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """What llama.cpp calls a kind of model, and how its weights differ from transformers'."""

    name: str
    turns_neighbours: bool = False
    """Positions turn neighbouring numbers of a query, where transformers turns halves."""
    norms_from_one: bool = False
    """Norms are stored with the one that transformers adds when it computes."""
    activation: str = "silu"


_LLAMA = Architecture("llama", turns_neighbours=True)
_GEMMA = "gelu_pytorch_tanh"

WRITTEN: Mapping[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "gemma2": Architecture("gemma2", norms_from_one=True, activation=_GEMMA),
    "gemma3_text": Architecture("gemma3", norms_from_one=True, activation=_GEMMA),
}
"""By what transformers calls them."""

EVERY = 6
"""Of so many layers in a row of a Gemma 3, the last sees everything."""
_LOCAL_TURN = 10_000.0
"""The base of the positions of a Gemma 3's other layers; a file cannot say another."""


def find(config: PreTrainedConfig) -> Architecture:
    """Return how a model is written; ModelError where llama.cpp would compute another one."""
    found = WRITTEN.get(config.model_type)
    if found is None:
        raise ModelError(
            f"a model of the kind {config.model_type!r} is not written to GGUF here, where its "
            f"files could be checked: {', '.join(WRITTEN)} are",
            hint=CONVERTER,
        )
    for problem in _problems(config, found):
        raise ModelError(
            f"this {config.model_type} cannot be written to GGUF: {problem}, and llama.cpp would "
            "compute another model without a word",
            hint="Use it with transformers or vLLM instead: leave out --format gguf.",
        )
    return found


def hyperparameters(config: PreTrainedConfig) -> dict[str, int | float]:
    """Return what a file says of a model's shape, by the keys of its architecture."""
    heads, size = config.num_attention_heads, head_size(config)
    said: dict[str, int | float] = {
        "context_length": context(config),
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "attention.key_length": size,
        "attention.value_length": size,
        "rope.dimension_count": size,
        "rope.freq_base": float(_turn(config)["rope_theta"]),
        "vocab_size": config.vocab_size,
    }
    if config.model_type == "gemma2":
        said["attn_logit_softcapping"] = float(config.attn_logit_softcapping)
        said["final_logit_softcapping"] = float(config.final_logit_softcapping)
    if config.model_type.startswith("gemma"):
        said["attention.sliding_window"] = config.sliding_window
    return said


def head_size(config: PreTrainedConfig) -> int:
    """Return how many numbers a head reads."""
    size = getattr(config, "head_dim", None)
    return int(size or config.hidden_size // config.num_attention_heads)


def context(config: PreTrainedConfig) -> int:
    """Return for how many positions a file is right: a Mistral's window is the end of them."""
    positions = int(config.max_position_embeddings)
    window = getattr(config, "sliding_window", None) if config.model_type == "mistral" else None
    return min(positions, int(window)) if window else positions


def frequencies(config: PreTrainedConfig) -> torch.Tensor | None:
    """Return by how much each frequency is slowed, where a Llama 3 stretches its positions."""
    if _turn(config).get("rope_type", "default") != "llama3":
        return None
    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device=torch.device("cpu"))
    steps = torch.arange(len(stretched), dtype=torch.float32) / len(stretched)
    return (1.0 / float(_turn(config)["rope_theta"]) ** steps) / stretched


def notes(config: PreTrainedConfig) -> Iterator[str]:
    """Yield what a person has to know of a model in this format."""
    if context(config) < config.max_position_embeddings:
        yield (
            f"its layers see {config.sliding_window} positions at a time, which llama.cpp does not "
            f"know of a llama: the file says that its context ends there"
        )


def _turn(config: PreTrainedConfig) -> Mapping[str, Any]:
    """Return how positions turn: in a Gemma 3, those of the layers that see everything."""
    said: Mapping[str, Any] = config.rope_parameters
    return said.get("full_attention", said) if config.model_type == "gemma3_text" else said


def _problems(config: PreTrainedConfig, found: Architecture) -> Iterator[str]:
    kind = _turn(config).get("rope_type", "default")
    if kind not in ("default", "llama3") or (kind == "llama3" and found.name != "llama"):
        yield f"its positions are stretched ({kind})"
    if _turn(config).get("partial_rotary_factor", 1.0) != 1.0:
        yield "its positions turn a part of each head only"
    said = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", None)
    if config.model_type.startswith("gemma"):
        said = config.hidden_activation
        yield from _problems_of_gemma(config)
    if said != found.activation:
        yield f"its activation is {said}"
    kinds = set(getattr(config, "layer_types", None) or ())
    if found.name.startswith("qwen") and kinds - {"full_attention"}:
        yield "some of its layers see a window only"


def _problems_of_gemma(config: PreTrainedConfig) -> Iterator[str]:
    if config.query_pre_attn_scalar != head_size(config):
        yield f"its attention is scaled by {config.query_pre_attn_scalar}"
    is_third = config.model_type == "gemma3_text"
    every = EVERY if is_third else 2
    order = [
        "full_attention" if (at + 1) % every == 0 else "sliding_attention"
        for at in range(config.num_hidden_layers)
    ]
    if list(config.layer_types) != order:
        yield "its layers see windows in an unusual order"
    softened = (config.attn_logit_softcapping, config.final_logit_softcapping)
    if is_third and any(softened):
        yield "its logits are capped"
    if not is_third and not all(softened):
        yield "its logits are not capped"
    if is_third and config.rope_parameters["sliding_attention"]["rope_theta"] != _LOCAL_TURN:
        yield "the positions of its windows turn at another speed"
    if getattr(config, "use_bidirectional_attention", None):
        yield "it looks ahead"
