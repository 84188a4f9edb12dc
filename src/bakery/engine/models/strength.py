"""How much of a bake is in a loaded model: 0 is its parent, 1 the bake, between them half-baked.

An adapter adds B·A to its layers, so scaling columns of B scales what the bakes behind these
ranks do; at 0 a bake is left out, wherever in the chain it stands. The weights as baked are kept:
strength 1 is bit for bit what was loaded.
Shapes: R rank · O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from bakery.engine.models.adapter_folder import SLICES, slices
from bakery.engine.models.adapters import PARENT
from bakery.errors import ModelError


@dataclass(frozen=True, slots=True)
class Strength:
    """What is left of a composed adapter: of the last bake's `own` ranks, and of all `older`.

    `without` are the ids of bakes that are left out, which leaves the others as they are.
    """

    own: float = 1.0
    older: float = 1.0
    without: frozenset[str] = frozenset()


AS_BAKED = Strength()
AS_PARENT = Strength(own=0.0)
AS_BASE = Strength(own=0.0, older=0.0)


class Dial:
    """Scales the adapter of a model in place, by whose ranks its columns are."""

    def __init__(self, model: PeftModel, folder: Path) -> None:
        """Read which ranks are whose; an adapter of one piece is all its own."""
        self._refused = _beyond_matrices(model)
        self._folder = folder
        self._slices = slices(folder) if (folder / SLICES).is_file() else []
        self._weights = {
            name: layer.lora_B[PARENT].weight
            for name, layer in model.named_modules()
            if isinstance(layer, LoraLayer) and PARENT in layer.lora_B
        }
        self._as_baked: dict[str, torch.Tensor] = {}
        self._now = AS_BAKED

    @property
    def now(self) -> Strength:
        """How much of the bakes is there."""
        return self._now

    @property
    def bakes(self) -> tuple[str, ...]:
        """The ids of the bakes that it is made of, oldest first; none of an adapter of others."""
        return tuple(part.bake_id for part in self._slices)

    def turn(self, strength: Strength) -> None:
        """Set how much of the bakes is there, always from the weights as they were loaded."""
        if strength == self._now:
            return
        if unknown := sorted(strength.without - set(self.bakes)):
            raise ModelError(
                f"the adapter in {self._folder} has no ranks of {unknown[0]!r}",
                hint=f"{SLICES} beside it says whose ranks it has.",
            )
        if self._refused is not None:
            raise ModelError(
                f"the adapter in {self._folder} has {self._refused}: it does more than add B·A, "
                "so there is no strength to set",
                hint="Take it as it is, at strength 1.",
            )
        if not self._as_baked:
            self._as_baked = {name: w.detach().clone() for name, w in self._weights.items()}
        with torch.no_grad():
            for name, weight_OR in self._weights.items():
                scale_R = self._scale(strength, weight_OR[0])
                weight_OR.copy_(self._as_baked[name] * scale_R)
        self._now = strength

    def _scale(self, strength: Strength, like_R: torch.Tensor) -> torch.Tensor:
        """Return what each rank is multiplied by."""
        scale_R = torch.full_like(like_R, strength.own)
        for part in self._slices[:-1]:
            scale_R[part.start : part.stop] = strength.older
        for part in self._slices:
            if part.bake_id in strength.without:
                scale_R[part.start : part.stop] = 0.0
        return scale_R


_BEYOND = (
    "use_dora", "modules_to_save", "bias", "lora_bias", "trainable_token_indices",
    "target_parameters", "alora_invocation_tokens", "layer_replication",
)  # fmt: skip
"""What of a configuration changes a model in other ways than by B·A of its linear layers."""


def beyond(config: Mapping[str, Any]) -> str | None:
    """Return the key of a configuration that does more than add B·A to linear layers, or None."""
    found = (key for key in _BEYOND if config.get(key) not in (None, False, "none", [], {}))
    return next(found, None)


def _beyond_matrices(model: PeftModel) -> str | None:
    """Return what an adapter does besides adding B·A, so that scaling that is not all of it."""
    if why := beyond(vars(model.peft_config[PARENT])):
        return why
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    return "an adapted embedding" if any(PARENT in e.lora_embedding_A for e in layers) else None
