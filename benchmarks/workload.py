"""The one workload that every side gets: a random model, its tokenizer, prompts and a prefix.

Everything is exact by construction: a word is a token, the prefix is P tokens, and no answer ends
early, because the model never says the token that would end it.
"""

from __future__ import annotations

import string
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|pad|>", "<|im_start|>", "<|im_end|>")
SCAFFOLD = ("Ċ", "system", "user", "assistant")
NEVER = "<|never|>"
"""Ends a turn; the last id, which the model never says."""

AROUND = 5
"""Tokens of the template around one message: start, role, line end; end, line end."""
HEADER = 3
"""Tokens of the template before the answer: start, role, line end."""


@torch.no_grad()
def never_says(model: PreTrainedModel, token: int) -> None:
    """Let a random model end its turns with a token, and never say it.

    The first number of every state stays what the embeddings make it, which is positive; the row
    of the token in the head is negative there.
    """
    for layer in model.base_model.layers:
        layer.self_attn.o_proj.weight[0] = 0
        layer.mlp.down_proj.weight[0] = 0
    head = model.get_output_embeddings().weight
    model.get_input_embeddings().weight[:, 0] = 0.05
    head[token] = 0
    head[token, 0] = -1e4
    model.generation_config = GenerationConfig(eos_token_id=token, pad_token_id=0)


@dataclass(frozen=True, slots=False)
class Workload:
    """Sizes in tokens and rows; `rows` trajectories make one optimiser step.

    `samples` 0 means pairs: `prompts` finished rows, each with its own question.
    """

    prefix: int = 1024
    vocab: int = 2000
    answer: int = 64
    epochs: int = 1
    prompts: int = 8
    samples: int = 4
    rows: int = 16
    prompt: int = 56
    hidden: int = 256
    layers: int = 4
    seed: int = 7

    @property
    def trajectories(self) -> int:
        """How many answers one epoch learns."""
        return self.prompts * max(self.samples, 1)

    @property
    def steps(self) -> int:
        """How many optimiser steps all epochs have."""
        return self.epochs * self.trajectories // self.rows

    def as_data(self) -> dict[str, int]:
        """Return what names this workload in a result file."""
        return asdict(self)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A tokenizer of exactly `vocab` words, and of the end that never comes."""
        letters = string.ascii_lowercase
        count = self.vocab - len(SPECIALS) - len(SCAFFOLD)
        words = ("Ġ" + "".join(four) for four in product(letters, repeat=4))
        tokens = [*SPECIALS, *SCAFFOLD, *islice(words, count)]
        model = WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=SPECIALS[0])
        inner = Tokenizer(model)
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        inner.add_special_tokens([*SPECIALS, NEVER])
        fast = PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token=SPECIALS[0], eos_token=NEVER
        )
        fast.chat_template = CHATML
        return fast

    def words(self, count: int, *seed: int) -> str:
        """Return a text of so many tokens, always the same for a seed."""
        first = len(SPECIALS) + len(SCAFFOLD)
        random = np.random.default_rng((self.seed, *seed))
        return self.tokenizer.decode(random.integers(first, self.vocab, count).tolist())

    @cached_property
    def system(self) -> str:
        """The content whose whole system message is `prefix` tokens."""
        return self.words(self.prefix - AROUND, 0)

    @cached_property
    def questions(self) -> list[str]:
        """Questions that make a prompt of `prompt` tokens each."""
        count = self.prompt - AROUND - HEADER
        return [self.words(count, 1, i) for i in range(self.prompts)]

    @cached_property
    def responses(self) -> list[str]:
        """One given answer to each question, for pairs."""
        return [self.words(self.answer, 2, i) for i in range(self.prompts)]

    def ids(self, question: str, *, prompted: bool) -> list[int]:
        """Return the ids before the answer, behind the system prompt or without it."""
        system = [{"role": "system", "content": self.system}] if prompted else []
        messages = [*system, {"role": "user", "content": question}]
        out: Any = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
        )
        ids = list(out["input_ids"])
        assert len(ids) == self.prompt + (self.prefix if prompted else 0)
        return ids

    def base(self) -> PreTrainedModel:
        """Return the random model: Qwen3, untied head, fp32; sharp enough that prompts matter."""
        torch.manual_seed(self.seed)
        config = Qwen3Config(
            vocab_size=self.vocab + 1,
            hidden_size=self.hidden,
            intermediate_size=3 * self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.hidden // 64,
            num_key_value_heads=max(self.hidden // 128, 1),
            head_dim=64,
            max_position_embeddings=1 << 15,
            tie_word_embeddings=False,
            initializer_range=0.06,
            pad_token_id=0,
        )
        model = AutoModelForCausalLM.from_config(config)
        never_says(model, self.vocab)
        return model

    def model(self) -> PeftModel:
        """Return the random model with a fresh adapter."""
        base = self.base()
        return get_peft_model(base, self.lora)  # type: ignore[return-value]

    @property
    def lora(self) -> LoraConfig:
        """The adapter that every side trains."""
        return LoraConfig(
            r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        )

    def training(self, folder: str) -> dict[str, Any]:
        """Return the arguments of `transformers` that every trainer gets."""
        return {
            "output_dir": folder,
            "num_train_epochs": self.epochs,
            "learning_rate": 1e-3,
            "seed": self.seed,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "dataloader_pin_memory": False,
        }
