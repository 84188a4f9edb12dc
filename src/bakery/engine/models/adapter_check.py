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
from bakery.engine.bases import heads
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


def check(folder: Path, chain: Chain | None, *, whole: bool = True, hint: str = "") -> None:
    """Raise ModelError where a folder is not as it must be; `hint` stands for a derived file."""
    for damage in damages(folder, chain, whole=whole):
        raise ModelError(str(damage), hint=(damage.is_derived and hint) or None)


def check_any(folder: Path) -> None:
    """Refuse to load an adapter that is damaged or does more than it says, whoever made it."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError(
            f"{folder} holds no {WEIGHTS}",
            hint="Only safetensors are read: other formats can run code.",
        )
    try:
        if (folder / SLICES).is_file():
            for damage in damages(folder, None):
                path = damage.path
                raise DamagedError(damage.why)
        adapter_head.check_numbers(path)
        path = folder / CONFIG
        _check_foreign(json_file.load_object(path, most=json_file.MB))
    except (DamagedError, OSError) as error:
        raise ModelError(
            f"the adapter in {folder} cannot be loaded: {path.name}: {_said(error)}"
        ) from error


_LARGEST_SCALE = 1000
"""Of alpha over rank: far more than anybody trains with."""
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of `init_lora_weights` that take something out of the base when they are loaded."""


def _check_foreign(config: Mapping[str, Any]) -> None:
    """Refuse a configuration of which no sane adapter comes, or that changes the base itself."""
    rank, alpha = config.get("r", 8), config.get("lora_alpha", 8)
    if not json_file.is_whole(rank, 1):
        raise DamagedError(f"r is {_shown(rank)}")
    own = {"lora_alpha": alpha}
    for key, least in (("rank_pattern", 1), ("alpha_pattern", 0)):
        pattern = config.get(key) or {}
        if not isinstance(pattern, dict):
            raise DamagedError(f"{key} is {_shown(pattern)}")
        if least and not all(json_file.is_whole(value, 1) for value in pattern.values()):
            raise DamagedError(f"{key} has a rank that is no whole number from 1")
        own |= {} if least else {f"{key} of {name[:60]}": value for name, value in pattern.items()}
    for key, value in own.items():
        if type(value) not in (int, float) or not 0 < value <= _LARGEST_SCALE * rank:
            raise DamagedError(f"{key} is {_shown(value)} at rank {rank}")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise DamagedError(f"init_lora_weights {start!r:.30} changes the weights of the base")
    if config.get("layer_replication"):
        raise DamagedError("layer_replication changes the layers of the base")


def check_fits(found: Head, base: Path) -> None:
    """Refuse an adapter of another model, as far as the base's files name their layers as it does.

    The rest is known when both are loaded.
    """
    shapes: dict[str, list[int]] = {}
    for file in sorted(base.glob("*.safetensors")) if base.is_dir() else ():
        shapes |= {name: list(t.shape) for name, t in heads.read(file).items()}
    known = {name: shapes.get(f"{name}.weight") for name in found.layers}
    if not any(known.values()):
        return
    for name, (inputs, outputs) in found.layers.items():
        shape = known[name]
        if shape is None and not name.endswith("lm_head"):  # that may be the embedding again
            raise DamagedError(f"the base has no layer {name[:100]}")
        if shape is not None and sorted(shape) != sorted((inputs, outputs)):
            told = f"{inputs} inputs and {outputs} outputs"
            raise DamagedError(f"{name[:100]} has {told}, in the base {shape}")


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
