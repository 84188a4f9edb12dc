"""What a GGUF file says before its weights, each entry in the type that readers expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf import GGUFValueType, GGUFWriter

from bakery.engine.export.gguf.architectures import Architecture, hyperparameters
from bakery.engine.export.gguf.vocabulary import Vocabulary
from bakery.engine.models.models import BaseModel

QUANTIZATION_VERSION = 2
_ARRAYS: Mapping[type, GGUFValueType] = {
    str: GGUFValueType.STRING, int: GGUFValueType.INT32, float: GGUFValueType.FLOAT32,
}  # fmt: skip
_VALUES: Mapping[type, GGUFValueType] = {
    str: GGUFValueType.STRING, bool: GGUFValueType.BOOL, int: GGUFValueType.UINT32,
    float: GGUFValueType.FLOAT32,
}  # fmt: skip


def of_model(
    base: BaseModel, architecture: Architecture, vocabulary: Vocabulary, about: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the file of a whole model says; `about` are entries of `general`."""
    config = base.model.config
    own = {f"{architecture.name}.{key}": value for key, value in hyperparameters(config).items()}
    words = {f"tokenizer.ggml.{key}": value for key, value in vocabulary.said.items()}
    template = str(base.chat.tokenizer.get_chat_template())
    return {**_general("model", about), **own, **words, "tokenizer.chat_template": template}


def of_adapter(alpha: float, about: Mapping[str, str]) -> dict[str, Any]:
    """Return what the file of a LoRA says."""
    general = _general("adapter", about)
    return {**general, "adapter.type": "lora", "adapter.lora.alpha": float(alpha)}


def _general(kind: str, about: Mapping[str, str]) -> dict[str, Any]:
    return {"general.type": kind, **{f"general.{key}": value for key, value in about.items()}}


def add(writer: GGUFWriter, said: Mapping[str, Any]) -> None:
    """Have a writer say all that."""
    for key, value in said.items():
        if isinstance(value, list):
            kind = _ARRAYS[type(value[0])]
            writer.add_key_value(key, value, GGUFValueType.ARRAY, sub_type=kind)
        else:
            writer.add_key_value(key, value, _VALUES[type(value)])
