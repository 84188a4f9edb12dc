"""Which GGUF files can be a base model, told from their headers alone.

transformers leaves out of its reading what it does not know, without an error: that would be
another model. So what is not known to be read in full is refused.
"""

from __future__ import annotations

import importlib.util

from bakery.engine.bases.gguf.header import Header
from bakery.errors import ModelError

READ = (
    "llama", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "lfm2", "falcon",
    "stablelm", "starcoder2", "nemotron", "gpt2", "mamba",
)  # fmt: skip
"""Architectures whose weights come out as they went in. Mistral's models are called llama, too."""

_ENCODERS = (
    "bert", "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2",
    "jina-bert-v3", "eurobert", "gemma-embedding", "t5", "t5encoder",
)  # fmt: skip
_SEEING = ("clip", "mllama", "qwen2vl", "qwen3vl", "qwen3vlmoe", "cogvlm", "chameleon")
_OTHER_KINDS = {"adapter": "an adapter", "mmproj": "the eyes of a model", "imatrix": "statistics"}
_TOKENIZERS = ("gpt2", "llama")
_MIXTURES = ("qwen2moe", "qwen3moe")

_SCALED = (("gemma2", 46), ("gemma3", 62))
"""The largest of both families, by their layers: the file does not say how their attention is
scaled, and the reader takes it to be that of the smaller ones."""
FACTORS = "rope_freqs.weight"
"""How a Llama 3 stretches its positions, which `positions` works out."""
_STRETCHED = (FACTORS, "rope_factors_long.weight", "rope_factors_short.weight")

SAFETENSORS = "Give the same model as a folder of safetensors, or by its hub id."
INSTALL = "`pip install gguf`, or install prompt-bakery with its extra `[gguf]`."


def check(header: Header) -> None:
    """Refuse what is not a causal language model for chats, or would not be read as what it is."""
    _refuse_other_kinds(header)
    name = header.path.name
    if header.architecture not in READ:
        raise ModelError(
            f"{name} has the architecture {header.architecture or '(none)'!r}, which is not read "
            "from GGUF",
            hint=f"{SAFETENSORS} Read from GGUF: {', '.join(READ)}.",
        )
    if header.of_model("expert_count") and header.architecture not in _MIXTURES:
        raise ModelError(
            f"{name} is a mixture of experts of the architecture {header.architecture!r}, which is "
            "not read from GGUF",
            hint=SAFETENSORS,
        )
    if not str(header.metadata.get("tokenizer.chat_template", "")).strip():
        raise ModelError(
            f"{name} has no chat template, so it is not a chat model",
            hint="Take the instruction-tuned one: its file has a tokenizer.chat_template.",
        )
    tokenizer = header.metadata.get("tokenizer.ggml.model")
    if tokenizer not in _TOKENIZERS or "tokenizer.ggml.tokens" not in header.arrays:
        raise ModelError(
            f"{name} has a tokenizer of the kind {tokenizer!r}, which is not read from GGUF",
            hint=SAFETENSORS,
        )
    _refuse_misread(header)


def check_reader(name: str) -> None:
    """Refuse where the package that reads such files is missing."""
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            f"{name} is a GGUF file, and the package gguf, which reads it, is not installed",
            hint=INSTALL,
        )


def _refuse_other_kinds(header: Header) -> None:
    """Refuse what is no model of text that writes."""
    name, architecture = header.path.name, header.architecture
    kind = str(header.metadata.get("general.type", "model"))
    if kind in _OTHER_KINDS:
        raise ModelError(
            f"{name} is {_OTHER_KINDS[kind]}, not a model",
            hint="Give the file of the model that it was made for.",
        )
    if not header.tensors:
        raise ModelError(
            f"{name} holds no weights, only a vocabulary", hint="Give the file with the weights."
        )
    pooled = header.of_model("pooling_type") not in (None, 0)
    if architecture in _ENCODERS or pooled or header.of_model("attention.causal") is False:
        raise ModelError(
            f"{name} is an encoder ({architecture}): it reads texts, and writes none",
            hint="Give a causal language model that was made for chats.",
        )
    if architecture in _SEEING:
        raise ModelError(
            f"{name} is a vision model ({architecture}), not a text-only causal language model",
            hint="Choose the text-only variant of the model.",
        )


def _refuse_misread(header: Header) -> None:
    """Refuse what the reader would leave out."""
    name = header.path.name
    known = {FACTORS} if header.architecture == "llama" else set()
    stretched = sorted(header.tensors.keys() & set(_STRETCHED) - known)
    kind, factor = header.of_model("rope.scaling.type"), header.of_model("rope.scaling.factor")
    if kind not in (None, "none"):
        stretched.append(f"rope.scaling.type {kind}")
    elif factor not in (None, 0, 1):
        stretched.append(f"rope.scaling.factor {factor}")
    if stretched:
        raise ModelError(
            f"{name} stretches its positions ({', '.join(stretched)}), which the GGUF reader of "
            "transformers leaves out: it would be another model",
            hint=SAFETENSORS,
        )
    if (header.architecture, header.of_model("block_count")) in _SCALED:
        raise ModelError(
            f"{name}: the GGUF reader of transformers does not know how the attention of a "
            f"{header.architecture} with {header.of_model('block_count')} layers is scaled",
            hint=SAFETENSORS,
        )
