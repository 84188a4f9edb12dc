"""Weights in, one GGUF file out: a whole model, or the LoRA of its bakes.

Weight by weight, so that no second copy of a model is in memory. Shapes: O outputs · I inputs ·
R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from safetensors import safe_open
from transformers import PreTrainedConfig

from bakery.engine.export.gguf import architectures, metadata, vocabulary
from bakery.engine.export.gguf.architectures import Architecture
from bakery.engine.export.gguf.names import FREQUENCIES, Names, weights
from bakery.engine.export.gguf.storage import LOSS, Storage
from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import WEIGHTS
from bakery.engine.models.models import BaseModel
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError

_IN_PEFT = "base_model.model."


@dataclass(frozen=True, slots=True)
class Written:
    """What a file holds, and what a person has to know of it."""

    path: Path
    kinds: Mapping[str, Kind]
    """How each weight is stored, by its name in the file."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A weight to be written: what it is stored as, and its bytes when their turn comes."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    data: Callable[[], np.ndarray]


def check(config: PreTrainedConfig, chat: Chat) -> Architecture:
    """Refuse a base that llama.cpp would compute or read otherwise: it takes no weight to see."""
    found = architectures.find(config)
    vocabulary.read(chat, rows=config.vocab_size)
    return found


def model(
    base: BaseModel,
    path: Path,
    storage: Storage,
    *,
    about: Mapping[str, str],
    changed: Collection[str] | None = None,
) -> Written:
    """Write a model as it is loaded, with its tokenizer and chat template.

    `changed`: the layers, by transformers' names, that are not as `storage.source` has them any
    more; None: any may not be.
    """
    config = base.model.config
    found = architectures.find(config)
    words = vocabulary.read(base.chat, rows=_rows(base))
    names = Names(config, found)
    own = dict(_own_bytes(storage, names, changed))
    tensors = list(_of_model(base, names, storage, own))
    said = metadata.of_model(base, found, words, about)
    said["general.file_type"] = storage.file_type
    if any(tensor.kind not in (Kind.F32, Kind.F16, Kind.BF16) for tensor in tensors):
        said["general.quantization_version"] = metadata.QUANTIZATION_VERSION
    _write(path, found, said, tensors)
    notes = [*architectures.notes(config), *words.notes, *instead(storage, own)]
    return Written(path, {tensor.name: tensor.kind for tensor in tensors}, tuple(notes))


def adapter(
    base: BaseModel, folder: Path, path: Path, kind: Kind, *, about: Mapping[str, str]
) -> Written:
    """Write a composed adapter as a LoRA that goes on its base's own file."""
    config = base.model.config
    found, head = architectures.find(config), adapter_head.read(folder / WEIGHTS)
    if config.tie_word_embeddings and "lm_head" in head.layers:
        raise ModelError(
            "this adapter changes lm_head, which is the embedding, too: llama.cpp has no place for "
            "a LoRA on one end of it",
            hint="Leave lm_head out of target_modules, or use the adapter with PEFT or vLLM.",
        )
    names = Names(config, found)
    tensors = list(_of_adapter(folder, names, head.layers, kind))
    # In a composed adapter alpha is folded in: it equals the rank.
    _write(path, found, metadata.of_adapter(head.rank, about), tensors)
    return Written(path, {tensor.name: tensor.kind for tensor in tensors}, ())


def _rows(base: BaseModel) -> int:
    return int(base.model.get_input_embeddings().weight.shape[0])


def _of_model(
    base: BaseModel, names: Names, storage: Storage, own: Mapping[str, gguf.ReaderTensor]
) -> Iterator[_Tensor]:
    config = base.model.config
    if (slowed := architectures.frequencies(config)) is not None:
        factors = slowed.float().numpy()
        yield _Tensor(FREQUENCIES, factors.shape, Kind.F32, lambda: factors)
    for name, weight in weights(base.model, config):
        called, shape = names.of(name), tuple(weight.shape)
        if called in own:
            copied = own[called]
            yield _Tensor(called, shape, copied.tensor_type, partial(np.asarray, copied.data))
            continue
        kind = storage.kind(called, shape)
        yield _Tensor(called, shape, kind, partial(_laid, names, name, weight, kind))


def _laid(names: Names, name: str, weight: Any, kind: Kind) -> np.ndarray:
    return gguf.quantize(names.laid(name, weight), kind)


def _of_adapter(
    folder: Path, names: Names, layers: Mapping[str, tuple[int, int]], kind: Kind
) -> Iterator[_Tensor]:
    source = str(folder / WEIGHTS)
    for layer in layers:
        called = names.of(f"{layer}.weight")
        for factor in "AB":
            key = f"{_IN_PEFT}{layer}.lora_{factor}.weight"
            with safe_open(source, framework="pt") as file:
                shape = tuple(file.get_slice(key).get_shape())
            data = partial(_factor, source, key, names, kind)
            yield _Tensor(f"{called}.lora_{factor.lower()}", shape, kind, data)


def _factor(source: str, key: str, names: Names, kind: Kind) -> np.ndarray:
    with safe_open(source, framework="pt") as file:
        weight = file.get_tensor(key).float()
    if key.endswith(".lora_B.weight"):  # (O, R): what the layer puts out
        weight = names.rows(key, weight)
    return gguf.quantize(np.ascontiguousarray(weight.numpy()), kind)


def _own_bytes(
    storage: Storage, names: Names, changed: Collection[str] | None
) -> Iterator[tuple[str, gguf.ReaderTensor]]:
    """Yield the weights of the source that no adapter changed."""
    if storage.source is None or changed is None:
        return
    moved = {names.of(f"{layer}.weight") for layer in changed}
    for tensor in gguf.GGUFReader(str(storage.source)).tensors:
        if tensor.name not in moved:
            yield tensor.name, tensor


def instead(storage: Storage, own: Mapping[str, Any]) -> Iterator[str]:
    """Say where a source's own kind of blocks cannot be written."""
    missing = {kind for name, kind in storage.each.items() if name not in own and kind not in LOSS}
    if missing and storage.source is not None:
        kinds = ", ".join(sorted(kind.name for kind in missing))
        yield (
            f"{storage.source.name} stores weights as {kinds}, which the package gguf reads and "
            "does not write: those that the bakes changed are Q8_0 here"
        )


def _write(
    path: Path, architecture: Architecture, said: Mapping[str, Any], tensors: list[_Tensor]
) -> None:
    writer = gguf.GGUFWriter(str(path), architecture.name)
    metadata.add(writer, said)
    for tensor in tensors:
        block, size = gguf.GGML_QUANT_SIZES[tensor.kind]
        count = int(np.prod(tensor.shape)) // block * size
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), count, raw_dtype=tensor.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        writer.write_tensor_data(tensor.data())
    writer.close()
