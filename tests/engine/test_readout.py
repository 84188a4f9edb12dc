"""Selected positions only, and never another model's logits."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
    PreTrainedConfig,
)

from bakery.engine.readout import Readout
from tests.support.models import qwen3_config

SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "qwen3": qwen3_config(vocab_size=64),
    "llama": LlamaConfig(**SMALL),
    "gemma2": Gemma2Config(**SMALL, final_logit_softcapping=5.0, query_pre_attn_scalar=16),
    "cohere": CohereConfig(**SMALL, logit_scale=0.25),
    "granite": GraniteConfig(**SMALL, logits_scaling=4.0),
}


def model_of(config: PreTrainedConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() > 1 else 1.0)
    return model


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_selected_logits_are_the_models_own(name: str) -> None:
    model = model_of(CONFIGS[name])
    readout = Readout(model)
    ids = torch.randint(3, 64, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    rows, cols = torch.tensor([0, 1, 2, 2]), torch.tensor([6, 3, 0, 5])
    with torch.no_grad():
        ours = readout.logits(
            readout.features(model, {"input_ids": ids, "attention_mask": mask}, rows, cols)
        )
        theirs = model(input_ids=ids, attention_mask=mask).logits[rows, cols]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "exact"),
    [("qwen3", True), ("llama", True), ("gemma2", False), ("cohere", False), ("granite", False)],
)
def test_the_probe_finds_heads_whose_output_is_changed_afterwards(name: str, exact: bool) -> None:
    assert Readout(model_of(CONFIGS[name])).exact is exact


def test_features_carry_gradients_and_leave_the_head_in_place() -> None:
    model = model_of(CONFIGS["qwen3"])
    readout = Readout(model)
    ids = torch.randint(3, 64, (1, 5))
    where = torch.tensor([0]), torch.tensor([4])
    readout.logits(readout.features(model, {"input_ids": ids}, *where)).sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert model(input_ids=ids).logits.shape == (1, 5, 64)
