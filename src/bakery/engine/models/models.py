"""Load a base model with its tokenizer: for both doors.

What a repository recorded is checked against what there is.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from bakery.engine.bases import bases, folders
from bakery.engine.bases.gguf import kept
from bakery.engine.memory import keep_freed_memory
from bakery.engine.models import loaded
from bakery.engine.text import ends
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError
from bakery.identity import BaseModelId
from bakery.reporting import Reporter

_PACKAGES = {
    "flash_attention_2": "flash_attn",
    "flash_attention_3": "flash_attn_interface",
    "flash_attention_4": "flash_attn",
}
"""What computes an attention, where that is not torch."""
_SAID = 500
"""So many characters are passed on of what a library says."""
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
    placed: Callable[[PreTrainedModel, torch.device], PreTrainedModel] | None = None,
) -> BaseModel:
    """Load a base model by hub id, folder, GGUF file or embedded name; refuse a changed one.

    `dtype` is a torch name or `auto` (as the weights are stored); `attention` what transformers
    calls an implementation. None: what the model is configured for. `reporter` is told where a
    file has to be unpacked first; None: nobody is. `placed` puts it on the device; None: it is
    put there whole.
    """
    source = source_of(base, reporter=reporter)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    whole_on = device if placed is None else None
    model = source.model(dtype=dtype, attention=attention, device=whole_on)
    if placed is not None:
        model = placed(model, device)
    tokenizer = source.tokenizer()
    loaded.check_tokens(base.name, tokenizer, embedded(model))
    chat = Chat(tokenizer, source.end_ids(tokenizer.eos_token_id), rows=embedded(model))
    return BaseModel(base, model, chat, source.unpacked)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files are, and by what name it is called."""

    name: str
    files: str
    options: Mapping[str, Any] = field(default_factory=lambda: {"trust_remote_code": False})
    """What transformers is told whenever it reads one of them."""
    unpacked: Mapping[str, str] = field(default_factory=dict)
    """How the files came out of a GGUF file; empty for any other model."""

    @property
    def loads_from(self) -> str:
        """By what name a saved adapter calls its base, so that PEFT finds it."""
        return self.files if self.unpacked else self.name

    def names(self) -> dict[str, str]:
        """Return what results.json says of it."""
        return {"model": self.name, "loads_from": self.loads_from}

    def config(self) -> PreTrainedConfig:
        """Read the configuration, and refuse a model that is not a causal language model."""
        config: PreTrainedConfig = self._read(AutoConfig)
        if not self.options["trust_remote_code"]:
            refuse_other_than_text(self.name, config)
        folders.refuse_kernel(self.name, config._attn_implementation)
        return config

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Read the tokenizer with its chat template."""
        tokenizer: PreTrainedTokenizerBase = self._read(AutoTokenizer)
        return tokenizer

    def end_ids(self, eos_token_id: int | None) -> list[int]:
        """Return every id that ends a turn, without reading a weight."""
        config, generation = self.config(), None
        try:
            generation = GenerationConfig.from_pretrained(self.files, **self.options)
        except OSError:  # a base need not have one
            named = config.eos_token_id
        except Exception as error:
            raise _unread(self.name, "read", error) from error
        written = Path(self.files) / folders.CONFIG
        if written.is_file():  # its class may name one, which nobody wrote
            named = folders.read(written).get("eos_token_id")
        return ids_that_end(generation, eos_token_id, named, rows=_rows(config))

    def chat(self, template_kwargs: Mapping[str, Any] | None = None) -> Chat:
        """Return how it renders chats, without reading a weight."""
        tokenizer = self.tokenizer()
        rows = _rows(self.config())
        loaded.check_tokens(self.name, tokenizer, rows)
        found = self.end_ids(tokenizer.eos_token_id)
        return Chat(tokenizer, found, template_kwargs=template_kwargs, rows=rows)

    def model(
        self,
        *,
        dtype: str = "auto",
        attention: str | None = None,
        device: torch.device | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> PreTrainedModel:
        """Read the weights: a frozen model in eval mode.

        `device` None: something else places the weights. `more` is handed to transformers.
        """
        config = self.config()
        hf_logging.disable_progress_bar()
        given = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype), **(more or {})}
        if attention is not None:
            _refuse_missing(attention)
            given["attn_implementation"] = attention
        elif not _is_installed(config._attn_implementation):
            config._attn_implementation = None  # transformers would fetch it as native code
        try:
            with _silence():  # what its table would say is said below, in words
                model, report = AutoModelForCausalLM.from_pretrained(
                    self.files,
                    config=config,
                    use_safetensors=True,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # they are refused below, by name
                    **self.options,
                    **given,
                )
        except Exception as error:
            raise _unread(self.name, "loaded", error) from error
        loaded.check(self.name, model, report)
        if device is not None:
            model = model.to(device)
        if model.device.type == "cpu":
            keep_freed_memory()
            if model.num_parameters() < ONE_THREAD_BELOW:
                torch.set_num_threads(1)
        return model.eval().requires_grad_(False)

    def _read(self, kind: Any) -> Any:
        try:
            return kind.from_pretrained(self.files, **self.options)
        except Exception as error:
            raise _unread(self.name, "read", error) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Let transformers say nothing but errors."""
    before = hf_logging.get_verbosity()
    hf_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(before)


def _is_installed(attention: str | None) -> bool:
    """Tell whether this machine has what computes an attention."""
    package = _PACKAGES.get(attention or "")
    return package is None or importlib.util.find_spec(package) is not None


def _refuse_missing(attention: str) -> None:
    """Refuse an attention that transformers would fetch as native code."""
    folders.refuse_kernel("attn_implementation", attention)
    if not _is_installed(attention):
        raise ModelError(
            f"{attention} needs the package {_PACKAGES[attention]}, which is not installed",
            hint="Leave attn_implementation out: the model's own attention does the same.",
        )


def _unread(name: str, what: str, error: Exception) -> ModelError:
    """Return what to say of files that transformers does not take.

    It and its kin raise any kind of error there is, tokenizers' reader a plain Exception.
    """
    said = " ".join(str(error).split())[:_SAID] or type(error).__name__
    return ModelError(f"{name} cannot be {what}: {said}")


def source_of(base: BaseModelId, *, reporter: Reporter | None = None) -> Source:
    """Return where a checked base lies; a model in one file is unpacked where it has to be."""
    place = bases.check(base)
    if not place.is_file():
        return Source(base.name, str(place))
    found = kept.unpacked(place, base.digest, reporter=reporter)
    return Source(base.name, str(found.folder), unpacked=found.made)


def load_chat(base: BaseModelId, *, reporter: Reporter | None = None) -> Chat:
    """Load how a base model renders chats, without its weights."""
    return source_of(base, reporter=reporter).chat()


def refuse_other_than_text(name: str, config: PreTrainedConfig) -> None:
    """Refuse what is not a causal language model of text alone."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"{name} is a {type(config).__name__.removesuffix('Config')} model, "
            "not a text-only causal language model",
            hint="Choose the text-only variant of the model.",
        )


def _rows(config: PreTrainedConfig) -> int:
    """Return how many tokens a model has embeddings for, as its configuration says."""
    found = getattr(config.get_text_config(), "vocab_size", None)
    return found if isinstance(found, int) else sys.maxsize  # only its weights say it


def embedded(model: PreTrainedModel) -> int:
    """Return how many tokens a model has embeddings for."""
    found: Any = model.get_input_embeddings()
    # Its weights may lie in parts, elsewhere.
    return int(getattr(found, "num_embeddings", None) or found.weight.shape[0])


def end_ids(model: PreTrainedModel, eos_token_id: int | None) -> list[int]:
    """Return every id that ends a turn of this model."""
    return ids_that_end(model.generation_config, eos_token_id, None, rows=embedded(model))


def ids_that_end(
    generation: GenerationConfig | None, eos_token_id: int | None, named: Any, *, rows: int
) -> list[int]:
    """Return every id that ends a turn of a model with so many tokens.

    `named` are those of config.json; None: it says nothing.
    """
    said = ends.ids(eos_token_id, getattr(generation, "eos_token_id", None), named)
    found = [number for number in said if number < rows]
    if not found:
        raise ModelError("neither tokenizer nor generation_config names an end-of-turn token")
    return found
