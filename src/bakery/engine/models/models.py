"""Load a base model with its tokenizer, checked against what the repository recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as hf_logging

from bakery.engine.bases import bases
from bakery.engine.bases.gguf import kept
from bakery.engine.memory import keep_freed_memory
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError
from bakery.identity import BaseModelId
from bakery.reporting import Reporter

ONE_THREAD_BELOW = 20_000_000
"""Parameters under which one CPU thread is used: the matrices are too small to share, and on a
machine that is busy with anything else the second thread is waited for at every one of them."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A frozen base model in eval mode, with its chat rendering."""

    id: BaseModelId
    model: PreTrainedModel
    chat: Chat
    unpacked: Mapping[str, str] = field(default_factory=dict)
    """How the weights came out of a GGUF file; empty for any other base."""

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.model.parameters()).device

    @property
    def context(self) -> int:
        """How many tokens, prompt and response together, the model was made for."""
        config = self.model.config
        return int(getattr(config, "max_position_embeddings", 0) or 1 << 30)


def load(
    base: BaseModelId,
    *,
    dtype: str = "auto",
    attention: str | None = None,
    reporter: Reporter | None = None,
) -> BaseModel:
    """Load a base model by hub id, folder, GGUF file or embedded name; refuse a changed one.

    `dtype` is a torch name or `auto` (as the weights are stored); `attention` what transformers
    calls an implementation. None: what the model is configured for. `reporter` is told where a
    file has to be unpacked first; None: nobody is.
    """
    found, folder = _opened(base, reporter)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    refuse_other_than_text(base.name, config)
    hf_logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype if dtype == "auto" else getattr(torch, dtype),
        **({} if attention is None else {"attn_implementation": attention}),
        use_safetensors=True,
        trust_remote_code=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval().requires_grad_(False)
    if device == "cpu":
        keep_freed_memory()
        if model.num_parameters() < ONE_THREAD_BELOW:
            torch.set_num_threads(1)
    chat = Chat(tokenizer, end_ids(model, tokenizer.eos_token_id))
    return BaseModel(base, model, chat, found.made if found else {})


def load_chat(base: BaseModelId, *, reporter: Reporter | None = None) -> Chat:
    """Load how a base model renders chats, without its weights."""
    _, folder = _opened(base, reporter)
    try:
        generation = GenerationConfig.from_pretrained(folder)
    except OSError:  # a base need not have one: its configuration says the same
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        generation = GenerationConfig.from_model_config(config)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return Chat(tokenizer, ids_that_end(generation, tokenizer.eos_token_id))


def _opened(base: BaseModelId, reporter: Reporter | None) -> tuple[kept.Unpacked | None, Path]:
    """Return the folder of a checked base, and how it was unpacked where it is one file."""
    place = bases.check(base)
    found = kept.unpacked(place, base.digest, reporter=reporter) if place.is_file() else None
    return found, found.folder if found else place


def refuse_other_than_text(name: str, config: PreTrainedConfig) -> None:
    """Refuse what is not a causal language model of text alone."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"{name} is a {type(config).__name__.removesuffix('Config')} model, "
            "not a text-only causal language model",
            hint="Choose the text-only variant of the model.",
        )


def end_ids(model: PreTrainedModel, eos_token_id: int | None) -> list[int]:
    """Return every id that ends a turn of this model."""
    return ids_that_end(model.generation_config, eos_token_id)


def ids_that_end(generation: GenerationConfig | None, eos_token_id: int | None) -> list[int]:
    """Return every id that ends a turn: the generation config may know more than the tokenizer."""
    configured = generation.eos_token_id if generation is not None else None
    listed = configured if isinstance(configured, list) else [configured]
    ids = {i for i in (*listed, eos_token_id) if i is not None}
    if not ids:
        raise ModelError("neither tokenizer nor generation_config names an end-of-turn token")
    return sorted(ids)
