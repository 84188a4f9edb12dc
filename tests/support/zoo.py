"""One small random model of every kind of architecture that the engine must be right for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as t
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

WINDOW = 6
"""Positions that the sliding layers of these models see."""

_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_MIXED = ["sliding_attention", "full_attention"]


def _sized(kind: type[PreTrainedConfig], **more: Any) -> Callable[[], PreTrainedConfig]:
    return lambda: kind(**{**_SIZES, **more})


ZOO: dict[str, Callable[[], PreTrainedConfig]] = {
    "qwen3": _sized(t.Qwen3Config),
    "llama": _sized(t.LlamaConfig),
    "mistral": _sized(t.MistralConfig, sliding_window=WINDOW),
    "gemma2": _sized(
        t.Gemma2Config,
        sliding_window=WINDOW,
        layer_types=_MIXED,
        final_logit_softcapping=5.0,
        attn_logit_softcapping=3.0,
        query_pre_attn_scalar=8,
    ),
    "gemma3": _sized(
        t.Gemma3TextConfig, sliding_window=WINDOW, layer_types=_MIXED, query_pre_attn_scalar=8
    ),
    "gpt2": lambda: t.GPT2Config(
        vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=1,
        eos_token_id=2,
    ),
    "mixtral": _sized(t.MixtralConfig, num_local_experts=4, sliding_window=None),
    "qwen3_moe": _sized(t.Qwen3MoeConfig, **_EXPERTS),
    "gpt_oss": _sized(
        t.GptOssConfig, num_local_experts=4, sliding_window=WINDOW, layer_types=_MIXED
    ),
    "cohere": _sized(t.CohereConfig, logit_scale=0.25),
    "granite": _sized(t.GraniteConfig, logits_scaling=4.0),
    "olmo2": _sized(t.Olmo2Config),
    "gpt_neox": _sized(t.GPTNeoXConfig),
    "bloom": lambda: t.BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4),
    "falcon_h1": _sized(
        t.FalconH1Config, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8,
        lm_head_multiplier=0.5,
    ),
    "qwen3_next": _sized(
        t.Qwen3NextConfig, **_EXPERTS, shared_expert_intermediate_size=32,
        layer_types=["linear_attention", "full_attention"], linear_num_key_heads=2,
        linear_num_value_heads=2, linear_key_head_dim=8, linear_value_head_dim=8,
    ),
    "llama4": _sized(
        t.Llama4TextConfig, layer_types=["chunked_attention", "full_attention"],
        attention_chunk_size=8, num_local_experts=2, intermediate_size_mlp=64,
    ),
    "mamba": lambda: t.MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2),
}  # fmt: skip


def random_model(name: str, *, scale: float = 4.0) -> PreTrainedModel:
    """Build a model of the zoo in fp32; `scale` makes what it says depend on what it reads."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(ZOO[name](), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale if parameter.dim() > 1 else 1.0)
    return model
