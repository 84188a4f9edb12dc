"""Weights of transformers as a GGUF file has them: their names, and the order of their rows.

Shapes: O outputs · I inputs · R rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import gguf
import numpy as np
import torch
from transformers import PreTrainedConfig

from bakery.engine.export.gguf.architectures import Architecture
from bakery.errors import ModelError

FREQUENCIES = "rope_freqs.weight"


class Names:
    """What a model's weights are called in a file, and how they lie in it."""

    def __init__(self, config: PreTrainedConfig, architecture: Architecture) -> None:
        self.config, self.architecture = config, architecture

    @cached_property
    def _table(self) -> gguf.TensorNameMap:
        (number,) = (
            number
            for number, name in gguf.MODEL_ARCH_NAMES.items()
            if name == self.architecture.name
        )
        return gguf.get_tensor_name_map(number, self.config.num_hidden_layers)

    def of(self, name: str) -> str:
        """Return what a weight is called in a file."""
        found = self._table.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ModelError(
                f"GGUF has no place for {name} in a model of the kind {self.architecture.name}",
                hint="Is it an adapter of another model?",
            )
        return found

    def laid(self, name: str, weight: torch.Tensor) -> np.ndarray:
        """Return a weight in fp32 as it lies in a file."""
        values = self.rows(name, weight.detach().float().cpu())
        if self.architecture.norms_from_one and name.endswith("norm.weight"):
            values = values + 1
        return np.ascontiguousarray(values.numpy())

    def rows(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return what a layer puts out in a file's order: of its weight, its bias, or its LoRA B.

        transformers turns the first half of a head against the second; llama.cpp turns neighbours
        of a llama, so that the rows of both halves take turns.
        """
        heads = self._heads(name)
        if not (heads and self.architecture.turns_neighbours):
            return weight
        halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        return halves.swapaxes(1, 2).reshape(weight.shape)

    def _heads(self, name: str) -> int:
        if ".q_proj" in name:
            return int(self.config.num_attention_heads)
        if ".k_proj" in name:
            own = getattr(self.config, "num_key_value_heads", None)
            return int(own or self.config.num_attention_heads)
        return 0


def weights(model: torch.nn.Module, config: PreTrainedConfig) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a model's weights; a head that is the embedding, too, is left out, as in a file."""
    tied = config.tie_word_embeddings
    for name, weight in model.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            yield name, weight
