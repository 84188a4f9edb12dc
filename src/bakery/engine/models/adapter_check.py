"""Whether an adapter's folder is what its bakes say it must be, without loading it.

The digest of a recipe covers the weights alone. All else in the folder follows from their head and
from the ranks of the chain, so it is compared with that and needs no digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import CONFIG, SLICES, WEIGHTS, Slice, slices
from bakery.engine.models.adapter_head import Head
from bakery.errors import ModelError
from bakery.json_file import DamagedError

Chain = Sequence[tuple[str, int]]
"""The ids of the bakes in an adapter and the rank of each, oldest first."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with one file of an adapter's folder."""

    path: Path
    why: str

    @property
    def is_derived(self) -> bool:
        """Whether the file follows from the weights and the recipe, so that it can be rewritten."""
        return self.path.name != WEIGHTS

    def __str__(self) -> str:
        return f"{self.path} is damaged: {self.why}"


def damages(folder: Path, chain: Chain | None, *, whole: bool = True) -> list[Damage]:
    """Return what is not as it must be, file by file; nothing but the weights' head is read.

    `chain` None: whose ranks these are is not known. `whole` False: the chain has older bakes
    than those that are given.
    """
    try:
        found = adapter_head.read(folder / WEIGHTS)
    except (DamagedError, OSError) as error:
        return [Damage(folder / WEIGHTS, _said(error))]
    wrong = []
    if why := _ranks_problem(found.rank, chain, whole):
        wrong.append(Damage(folder / WEIGHTS, why))
    if why := config_problem(folder / CONFIG, found):
        wrong.append(Damage(folder / CONFIG, why))
    if why := _slices_problem(folder, found.rank, chain, whole):
        wrong.append(Damage(folder / SLICES, why))
    return wrong


def _ranks_problem(rank: int, chain: Chain | None, whole: bool) -> str | None:
    due = sum(own for _, own in chain or ())
    if chain is None or (rank == due if whole else rank > due):
        return None
    more = "" if whole else "more than "
    return f"its rank is {rank}, but its bakes have {more}{due} together"


_AS_SAVED: Mapping[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "task_type": ("CAUSAL_LM",),
    "lora_dropout": (0,),
    "bias": ("none",),
    "init_lora_weights": (True,),
    "qalora_group_size": (16,),
    "megatron_core": ("megatron.core",),
}
"""What else a composed adapter's configuration says where it says anything."""
_FREE = frozenset(
    {"base_model_name_or_path", "revision", "peft_version", "inference_mode", "auto_mapping"}
)
"""What changes nothing that a loaded adapter computes."""


def config_problem(path: Path, found: Head) -> str | None:
    """Return why a configuration is not that of a composed adapter; None: it is.

    Such an adapter does B·A and nothing more, so what a key could add has to be off, known or not.
    """
    try:
        config = json_file.load_object(path, most=json_file.MB)
    except (DamagedError, OSError) as error:
        return _said(error)
    for key in ("r", "lora_alpha"):
        if config.get(key) != found.rank or isinstance(config[key], bool):
            return f"{key} is {_shown(config.get(key))}, where the weights say {found.rank}"
    if why := _targets_problem(config.get("target_modules"), found):
        return why
    for key, value in config.items():
        if key in _FREE or key in ("r", "lora_alpha", "target_modules"):
            continue
        allowed = _AS_SAVED.get(key)
        if not (value in allowed if allowed is not None else not value):
            return f"{key} is {_shown(value)}, which no bake writes"
    if missing := [key for key in ("peft_type", "task_type") if key not in config]:
        return f"it has no {missing[0]}"
    return None


def _targets_problem(targets: Any, found: Head) -> str | None:
    if not isinstance(targets, list) or not all(isinstance(t, str) and t for t in targets):
        return f"target_modules is {_shown(targets)}, not a list of names"
    endings = [f".{target}" for target in targets]
    for name in found.layers:
        if not f".{name}".endswith(tuple(endings)):
            return f"target_modules leave out {name}, which the weights have"
    for target, ending in zip(targets, endings, strict=True):
        if not any(f".{name}".endswith(ending) for name in found.layers):
            return f"target_modules name {target[:100]}, which the weights do not have"
    return None


def _slices_problem(folder: Path, rank: int, chain: Chain | None, whole: bool) -> str | None:
    try:
        rows = slices(folder)
    except ModelError as error:
        return error.message.partition(" is damaged: ")[2] or error.message
    if rows[-1].stop != rank:
        return f"it shares out {rows[-1].stop} ranks, where the weights have {rank}"
    if chain is None or not chain:
        return None
    due = parts(chain, rank - sum(own for _, own in chain))
    if rows[-len(due) :] == due and (whole is False or len(rows) == len(due)):
        return None
    return "it does not give each bake of the chain the ranks that the recipe says"


def parts(chain: Chain, start: int = 0) -> list[Slice]:
    """Return which ranks of a composed adapter belong to which bake of its chain."""
    stops = [start]
    for _, own in chain:
        stops.append(stops[-1] + own)
    bounds = pairwise(stops)
    return [Slice(name, *bound) for (name, _), bound in zip(chain, bounds, strict=True)]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _said(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    return str(getattr(error, "strerror", None) or error)
