"""Random models of every architecture that is read from GGUF, written as their converters do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers as t
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from tests.support.gguf_files import metadata, vocabulary, write

Change = Callable[[str, torch.Tensor], torch.Tensor]
HEADS, KV_HEADS = 4, 2

_SIZES: dict[str, Any] = {
    "vocab_size": len(vocabulary()),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MIXED = ["sliding_attention", "full_attention"]


def _as_it_is(name: str, weight: torch.Tensor) -> torch.Tensor:
    return weight


def _interleaved(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Reorder queries and keys: llama.cpp turns neighbours, transformers halves."""
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2], 0)
    if not heads:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _norms_from_one(name: str, weight: torch.Tensor) -> torch.Tensor:
    return weight + 1 if name.endswith("norm.weight") else weight


def _transposed(name: str, weight: torch.Tensor) -> torch.Tensor:
    return weight.T if weight.ndim == 2 and ".c_" in name else weight


def _of_lfm(name: str, weight: torch.Tensor) -> torch.Tensor:
    return weight.squeeze(1) if "conv.conv" in name else weight


def _of_mamba(name: str, weight: torch.Tensor) -> torch.Tensor:
    if name.endswith("A_log"):
        return -torch.exp(weight)
    return weight.squeeze(1) if "conv1d.weight" in name else weight


@dataclass(frozen=True)
class Kind:
    """An architecture: a small model of it, and what its file says and does otherwise."""

    config: Callable[[], PreTrainedConfig]
    said: Mapping[str, Any] = field(default_factory=dict)
    change: Change = _as_it_is
    architecture: str = ""
    """"": as the kind itself is called."""


def _sized(kind: type[PreTrainedConfig], **more: Any) -> Callable[[], PreTrainedConfig]:
    return lambda: kind(**{**_SIZES, **more})


_NORM = "attention.layer_norm_epsilon"
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_SAYS_EXPERTS = {"expert_count": 4, "expert_used_count": 2}

KINDS: dict[str, Kind] = {
    "llama": Kind(_sized(t.LlamaConfig), change=_interleaved),
    "llama, tied": Kind(
        _sized(t.LlamaConfig, tie_word_embeddings=True),
        change=_interleaved,
        architecture="llama",
    ),
    "qwen2": Kind(_sized(t.Qwen2Config)),
    "qwen2moe": Kind(
        _sized(
            t.Qwen2MoeConfig,
            **_EXPERTS,
            moe_intermediate_size=1408,
            shared_expert_intermediate_size=5632,
        ),
        _SAYS_EXPERTS,
    ),
    "qwen3": Kind(
        _sized(t.Qwen3Config, head_dim=128),
        {"attention.key_length": 128, "rope.dimension_count": None},
    ),
    "qwen3moe": Kind(
        _sized(t.Qwen3MoeConfig, **_EXPERTS, head_dim=8, moe_intermediate_size=768,
               norm_topk_prob=True),
        {**_SAYS_EXPERTS, "attention.key_length": 8},
    ),
    "gemma2": Kind(
        _sized(t.Gemma2Config, head_dim=8, sliding_window=6, layer_types=_MIXED,
               tie_word_embeddings=True),
        {"attention.key_length": 8, "attention.sliding_window": 6},
        _norms_from_one,
    ),
    "gemma3": Kind(
        _sized(t.Gemma3TextConfig, head_dim=8, sliding_window=6, tie_word_embeddings=True,
               rope_parameters={
                   "full_attention": {"rope_type": "default", "rope_theta": 1e6},
                   "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
               }),
        {"attention.key_length": 8, "attention.sliding_window": 6, "rope.freq_base": 1e6},
        _norms_from_one,
    ),
    "phi3": Kind(_sized(t.Phi3Config, rms_norm_eps=1e-6)),
    "lfm2": Kind(
        _sized(t.Lfm2Config, layer_types=["conv", "full_attention"], norm_eps=1e-6,
               block_auto_adjust_ff_dim=False, rope_theta=1e4),
        {"attention.head_count_kv": [0, 2], "shortconv.l_cache": 3},
        _of_lfm,
    ),
    "falcon": Kind(
        lambda: t.FalconConfig(
            vocab_size=len(vocabulary()), hidden_size=32, num_hidden_layers=2,
            num_attention_heads=HEADS, max_position_embeddings=512,
        ),
        {_NORM: 1e-5, "attention.head_count_kv": 1},
    ),
    "stablelm": Kind(_sized(t.StableLmConfig), {_NORM: 1e-5, "rope.dimension_count": 2}),
    "starcoder2": Kind(_sized(t.Starcoder2Config, use_bias=True), {_NORM: 1e-5}),
    "nemotron": Kind(
        _sized(t.NemotronConfig, norm_eps=1e-6), {"rope.dimension_count": 4}, _norms_from_one
    ),
    "gpt2": Kind(
        lambda: t.GPT2Config(vocab_size=len(vocabulary()), n_embd=32, n_layer=2, n_head=HEADS),
        {_NORM: 1e-5, "context_length": 1024, "rope.dimension_count": None},
        _transposed,
    ),
    "mamba": Kind(
        lambda: t.MambaConfig(
            vocab_size=len(vocabulary()), hidden_size=32, num_hidden_layers=2, state_size=16,
            layer_norm_epsilon=1e-6,
        ),
        {"ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.inner_size": 64,
         "ssm.time_step_rank": 2},
        _of_mamba,
    ),
}  # fmt: skip


def random_model(kind: str, *, seed: int = 0) -> PreTrainedModel:
    """Build a random model in fp32 that says something else to every prompt."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(KINDS[kind].config(), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() > 1 else 1.0)
            parameter.add_(0.01 * torch.randn_like(parameter))  # no bias is nought
    return model


def as_gguf(
    path: Path,
    kind: str = "llama",
    *,
    model: PreTrainedModel | None = None,
    stored: gguf.GGMLQuantizationType | None = None,
    more: Mapping[str, np.ndarray] | None = None,
    **said: Any,
) -> Path:
    """Write a model (None: the random one) to a file; `said` changes what the file says of it."""
    which = KINDS[kind]
    architecture = which.architecture or kind
    own = {f"{architecture}.{key}": value for key, value in which.said.items()}
    text = metadata(architecture, **{**own, **said})
    tensors = {**_tensors(model or random_model(kind), architecture, which.change), **(more or {})}
    return write(path, text, tensors, architecture=architecture, kind=stored)


def _tensors(model: PreTrainedModel, architecture: str, change: Change) -> dict[str, np.ndarray]:
    """Return a model's weights by the names that the format has for them."""
    (number,) = [n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture]
    names = gguf.get_tensor_name_map(number, model.config.num_hidden_layers)
    found: dict[str, torch.Tensor] = {}
    for name, weight in model.state_dict().items():
        layer = f"blk.{name.split('.')[2]}" if name.count(".") > 2 else ""
        if name.endswith("gate_up_proj") and weight.ndim == 3:
            gate, up = weight.chunk(2, 1)
            found |= {f"{layer}.ffn_gate_exps.weight": gate, f"{layer}.ffn_up_exps.weight": up}
        elif name.endswith("experts.down_proj"):
            found[f"{layer}.ffn_down_exps.weight"] = weight
        elif name != "lm_head.weight" or not model.config.tie_word_embeddings:
            called = names.get_name(name, try_suffixes=(".weight", ".bias"))
            assert called is not None, name
            own = weight.squeeze(0) if name.endswith("shared_expert_gate.weight") else weight
            found[called] = change(name, own)
    return {name: weight.detach().float().numpy() for name, weight in found.items()}
