"""Models to measure: random ones by their shape, and a real one by its path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, Qwen3Config

from bakery.engine.bases import bases
from bakery.engine.models import models
from benchmarks.gpu.cases import Shape
from benchmarks.workload import Workload, never_says

MOVED = 0.02
"""Standard deviation of what is put into the second half of an adapter, which is zero at first."""


SHARP = 0.96
"""Of random weights, so that a layer hands on as much as it is given: prompts matter then."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A base model in bf16, and texts to put to it."""

    base: Any
    tokenizer: Any
    system: str
    questions: Sequence[str]
    responses: Sequence[str]
    lora: LoraConfig

    def adapted(self, *, moved: bool = False) -> PeftModel:
        """Return the model with a fresh adapter; `moved`: one that changes what it says."""
        torch.manual_seed(1)
        model = get_peft_model(self.base, self.lora)
        if moved:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if "lora_B" in name:
                        parameter.normal_(std=MOVED)
        return model

    @property
    def layers(self) -> int:
        """How many layers it has."""
        return int(self.base.config.get_text_config().num_hidden_layers)

    def products(self) -> tuple[int, int]:
        """Return the weights of all linear layers but the head, and those of the head.

        Read before there is an adapter; all experts of a mixture count, though few are used.
        """
        head = self.base.get_output_embeddings()
        found = [
            m.weight for m in self.base.modules() if isinstance(m, nn.Linear) and m is not head
        ]
        return sum(weight.numel() for weight in found), head.weight.numel()


def random(shape: Shape, workload: Workload, device: str) -> Subject:
    """Make a random model; one that is sampled never ends its turn: answers have their length."""
    torch.manual_seed(workload.seed)
    config = Qwen3Config(
        vocab_size=workload.vocab + 1,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=1 << 15,
        tie_word_embeddings=shape.tied,
        initializer_range=SHARP / shape.hidden**0.5,
        pad_token_id=0,
    )
    with torch.device(device):
        base = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    if workload.samples:
        never_says(base, workload.vocab)
    responses = [workload.words(workload.answer, 2, i) for i in range(workload.prompts)]
    return Subject(
        base, workload.tokenizer, workload.system, workload.questions, responses, workload.lora
    )


def given(path: str, workload: Workload) -> Subject:
    """Load a real model in bf16: a folder, a GGUF file, or a name that is on this machine.

    It comes to where `models.load` puts it: on the GPU where there is one.
    """
    found = models.load(bases.identify(path), dtype="bfloat16")
    tokenizer = found.chat.tokenizer
    about = "You are a careful assistant of a bakery. You answer in one short sentence. "
    ids = tokenizer(about * (workload.prefix // 8), add_special_tokens=False)["input_ids"]
    count = range(workload.prompts)
    return Subject(
        found.model,
        tokenizer,
        tokenizer.decode(ids[: workload.prefix]),
        [f"What should I know about loaf number {i + 1}?" for i in count],
        [
            f"Loaf number {i + 1} is baked for {20 + i} minutes, and is best on that day."
            for i in count
        ],
        workload.lora,
    )
