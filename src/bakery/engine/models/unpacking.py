"""The process that unpacks a GGUF file: `python -m … FILE FOLDER DIGEST`.

transformers reads it; what would come out otherwise than it went in is refused.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from tokenizers import pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.utils import logging as hf_logging

from bakery.engine.bases.gguf import header, kept, positions, refused
from bakery.engine.bases.gguf.header import Header
from bakery.engine.models import models
from bakery.engine.text import rendering
from bakery.errors import ModelError
from bakery.identity import file_digest

_ANSWER = "§bakery§"
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
_SAME = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "embedding_length": ("hidden_size",),
    "block_count": ("num_hidden_layers",),
    "attention.head_count": ("num_attention_heads",),
    "attention.key_length": ("head_dim",),
    "attention.sliding_window": ("sliding_window",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "expert_used_count": ("num_experts_per_tok",),
}
"""What the file says, and what the configuration that was read from it has to say."""

_DIGITS_ALONE = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""Ways to cut text into words that are GPT-2's, once every digit is cut off. That no token has two
digits does not make it the same: the blanks in front of a digit are cut otherwise."""
_SPLITS = {*GGUF_PRE_TOKENIZER_SPLITS, *_DIGITS_ALONE, "gpt-2", "mpt", "olmo", "jais"}
"""Ways to cut text into words that come out right: those that transformers knows, those above, and
those that are GPT-2's."""

_CANNOT = (
    ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, struct.error, StrictDataclassError,
)  # fmt: skip
"""What transformers may raise on a file that it does not understand."""


def main() -> None:
    """Unpack a file; what is refused is left in the folder for whoever asked."""
    path, folder, source = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    try:
        unpack(path, folder, source)
    except ModelError as error:
        said = {"message": error.message, "hint": error.hint}
        (folder / kept.REFUSED).write_text(json.dumps(said), encoding="utf-8")
        sys.exit(error.exit_code)


def unpack(path: Path, folder: Path, source: str) -> None:
    """Write a file's model, tokenizer and manifest to an empty folder."""
    if file_digest(path) != source:  # a cache names its files by digests that nobody has checked
        raise ModelError(
            f"{path} is not the file with the digest {source[:16]}: it was changed or damaged",
            hint="Fetch it again.",
        )
    found = header.read(path)
    hf_logging.set_verbosity_error()
    model, tokenizer = _read(path, found)
    _check_whole(found, model)
    ends = end_ids(found, tokenizer)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    files = {file.name: file_digest(file) for file in sorted(folder.iterdir())}
    made = {
        "from": found.stored,
        "to": found.dtype,
        "by": f"transformers {version('transformers')}, gguf {version('gguf')}",
    }
    manifest = kept.Manifest(kept.SCHEMA, source, path.name, made, _notes(found), files)
    manifest.write(folder)


def _notes(found: Header) -> list[str]:
    """Return what a person should know of a model that was read as well as can be."""
    split = found.metadata.get("tokenizer.ggml.pre", "(unnamed)")
    if found.metadata["tokenizer.ggml.model"] != "gpt2" or split in _SPLITS:
        return []
    return [
        f"{found.path.name} cuts text into words in a way, {split}, that the GGUF reader of "
        "transformers does not know: they are cut as for GPT-2, and the model may see other tokens "
        "than it was trained on"
    ]


def _read(path: Path, found: Header) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Have transformers read a file, alone: what lies beside it would be read along with it."""
    at: dict[str, Any] = {"gguf_file": "model.gguf", "local_files_only": True}
    with TemporaryDirectory() as folder:
        (Path(folder) / "model.gguf").symlink_to(path.absolute())
        return _read_from(folder, path, found, at)


def _read_from(
    folder: str, path: Path, found: Header, at: Mapping[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Have transformers read the one file of a folder."""
    try:
        config = AutoConfig.from_pretrained(folder, **at)
        models.refuse_other_than_text(path.name, config)
        _complete(found, config)
        _check_config(found, config)
        positions.stretch(found, config)
        tokenizer = AutoTokenizer.from_pretrained(folder, **at)
        _cut_digits_off(found, tokenizer)
        model, loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, found.dtype),
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            **at,
        )
    except _CANNOT as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"transformers cannot read {path.name}: {said[0]}", hint=refused.SAFETENSORS
        ) from error
    _refuse_lost(path.name, "lacks", loaded["missing_keys"])
    _refuse_lost(path.name, "has weights that no layer takes:", loaded["unexpected_keys"])
    return model, tokenizer


def _cut_digits_off(found: Header, tokenizer: PreTrainedTokenizerBase) -> None:
    """Have a tokenizer cut words as its file says, where the reader takes GPT-2's way instead."""
    said = found.metadata
    if said["tokenizer.ggml.model"] == "gpt2" and said.get("tokenizer.ggml.pre") in _DIGITS_ALONE:
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])


def _refuse_lost(name: str, what: str, keys: Any) -> None:
    if keys:
        shown = ", ".join(sorted(keys)[:3])
        raise ModelError(f"{name} {what} {shown}", hint=refused.SAFETENSORS)


def _complete(found: Header, config: PreTrainedConfig) -> None:
    """Have a configuration say what the file does, and the reader passes over."""
    size = found.of_model("attention.key_length")
    if found.architecture == "qwen3" and isinstance(size, int):
        config.head_dim = size


def _check_config(found: Header, config: PreTrainedConfig) -> None:
    """Refuse a configuration that says something else than the file."""
    for key, said, taken in _differing(found, config.to_dict()):
        raise ModelError(
            f"the GGUF reader of transformers takes {found.path.name} for another model: it has "
            f"{key} {said}, and would be read with {taken}",
            hint=refused.SAFETENSORS,
        )


def _differing(found: Header, config: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key, names in _SAME.items():
        said = found.of_model(key)
        taken = [config[name] for name in names if config.get(name) is not None]
        if said is not None and taken and said not in taken:
            yield key, said, taken[0]
    rope = config.get("rope_parameters") or {}
    theta, base = rope.get("rope_theta"), found.of_model("rope.freq_base")
    if None not in (theta, base) and theta != base:
        yield "rope.freq_base", base, theta
    head, turned = config.get("head_dim"), found.of_model("rope.dimension_count")
    if head is None and config.get("num_attention_heads"):
        head = config["hidden_size"] // config["num_attention_heads"]
    share = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    if None not in (head, turned) and rope and int(head * share) != turned:
        yield "rope.dimension_count", turned, int(head * share)


def _check_whole(found: Header, model: PreTrainedModel) -> None:
    """Refuse where weights were left out: the reader passes over names that it does not know."""
    taken = sum(parameter.numel() for parameter in model.parameters())
    factors = found.tensors.get(refused.FACTORS)
    there = found.weights - (factors.weights if factors else 0)
    if taken != there:
        raise ModelError(
            f"{found.path.name} holds {there:,} weights, and the model that transformers makes of "
            f"it {taken:,}",
            hint=refused.SAFETENSORS,
        )


def end_ids(found: Header, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return every id that ends a turn: those that the file names, and the template's own."""
    named = [found.metadata.get(f"tokenizer.ggml.{key}") for key in _ENDS]
    ids = {i for i in named if isinstance(i, int) and i < len(tokenizer)}
    ids |= set(_after_answers(tokenizer)[:1])
    if not ids:
        raise ModelError(
            f"{found.path.name} names no token that ends a turn", hint=refused.SAFETENSORS
        )
    return sorted(ids)


def _after_answers(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the special tokens that the template puts behind an answer."""
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = rendering.text_of(tokenizer, said)
    except rendering.RefusedByTemplateError:  # it wants other messages, and is asked again by those
        return []
    after = tokenizer.encode(text.partition(_ANSWER)[2], add_special_tokens=False)
    known = tokenizer.added_tokens_decoder
    return [i for i in after if i in known and known[i].special]


if __name__ == "__main__":
    main()
