"""What nobody said of a bake, settled once its base and its rows are known.

The laws are those of `defaults`, with their version; what a person wrote always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from bakery import defaults
from bakery.engine.bases import bases
from bakery.settings.config import BakeryConfig, LoraConfig
from bakery.shaping import FirstWeights

FITTED, RANDOM = "fitted", "random"

FORMER: dict[str, Any] = {
    "learning_rate": 5e-5,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "warmup_steps": 0,
    "first_weights": RANDOM,
    "r": 64,
    "lora_alpha": 128,
}
"""Version 1 at this door: the constants of transformers."""

OPEN = (*FORMER, "defaults")
"""Fields that may be left to this module."""

USUAL_WARMUP = 0.05
"""Part of all steps in which the rate rises."""


@dataclass(frozen=True, slots=True)
class Base:
    """What the laws go by in a base model."""

    name: str
    family: str
    hidden_size: int


def base_of(config: PreTrainedConfig) -> Base:
    """Return what the laws go by, from a model's configuration."""
    folder = str(getattr(config, "_name_or_path", ""))
    embedded, _ = bases.locate(bases.EMBEDDED)
    is_embedded = folder in (*bases.ALIASES, bases.EMBEDDED) or Path(folder) == embedded
    width = getattr(config.get_text_config(), "hidden_size", 0)
    return Base(bases.EMBEDDED if is_embedded else folder, str(config.model_type), int(width or 0))


def lora(config: LoraConfig, base: Base, args: BakeryConfig) -> dict[str, Any]:
    """Settle the adapter's size, in place; return what was settled."""
    version = _version(args)
    if version == 1:
        return _put(config, FORMER)
    r = defaults.defaults_for(base, version).r if config.r is None else config.r
    return _put(config, {"r": r, "lora_alpha": 2 * r})


def training(
    args: BakeryConfig, base: Base, *, rows: int, answers: int, is_fitted: bool
) -> dict[str, Any]:
    """Settle how an adapter is trained, in place; return what was settled.

    `answers` counts those that an epoch learns, to `rows` rows in all; `is_fitted` says whether
    the adapter starts fitted, where nobody asked for anything else.
    """
    version = _version(args)
    if version == 1:
        return _put(args, FORMER)
    table = defaults.defaults_for(base, version)
    if not is_fitted:
        table = defaults.at_random(table)
    epochs = table.epochs if args.num_train_epochs is None else args.num_train_epochs
    batch = defaults.batch_for(int(answers * epochs), 1, table.steps)
    each = max(answers / rows, 1.0)
    at_once, accumulated = _batch(args, batch, each, table.micro_batch_size)
    if args.num_train_epochs is None:
        learnt = batch
        if args.world_size > 1:  # each takes a row at least: a step may learn more than it was to
            learnt = max(batch, round(at_once * accumulated * args.world_size * each))
        epochs = max(epochs, defaults.epochs_for(answers, learnt, table.fewest_steps))
    return _put(
        args,
        {
            "learning_rate": table.learning_rate,
            "num_train_epochs": epochs,
            "per_device_train_batch_size": at_once,
            "gradient_accumulation_steps": accumulated,
            "warmup_steps": USUAL_WARMUP,
            "first_weights": FITTED if is_fitted else RANDOM,
        },
    )


def fits(args: BakeryConfig) -> bool:
    """Tell whether an adapter is to start fitted."""
    asked = args.first_weights or (RANDOM if _version(args) == 1 else FITTED)
    return bool(asked == FITTED)


def first_weights(args: BakeryConfig, base: Base) -> FirstWeights:
    """Return how first weights are fitted; version 1 has none, and whoever asks gets the next's."""
    table = defaults.defaults_for(base, max(_version(args), 2))
    assert table.ridge is not None
    return FirstWeights(table.ridge, table.fitted_tokens)


def start_at_random(args: BakeryConfig, base: Base, settled: Mapping[str, Any]) -> dict[str, Any]:
    """Settle again what goes by where an adapter starts, after a fit was no use; return it.

    Steps are as large as they were: there are the more of them.
    """
    table = defaults.at_random(defaults.defaults_for(base, _version(args)))
    found = {
        "learning_rate": table.learning_rate,
        # Few rows may have more by then, so that there are steps enough.
        "num_train_epochs": max(table.epochs, settled.get("num_train_epochs", 0)),
        "first_weights": RANDOM,
    }
    changed = {name: value for name, value in found.items() if name in settled}
    for name, value in changed.items():
        setattr(args, name, value)
    return changed


def take_over(args: BakeryConfig, config: LoraConfig, kept: Mapping[str, Any]) -> None:
    """Give what nobody says now the values of the run that goes on."""
    _put(args, kept)
    _put(config, kept)


def as_of_then(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kept configuration with what those of before versions do not name."""
    if "defaults" in kept:
        return dict(kept)
    former = {**FORMER, "defaults": 1}
    if "warmup_ratio" in kept:
        del former["warmup_steps"]
    return {**former, **kept}


def sentence(settled: Mapping[str, Any]) -> str:
    """Say what was settled, in one line."""
    return "not given, so by model and data: " + ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settled.items()
    )


def _batch(args: BakeryConfig, answers: int, each: float, most: int) -> tuple[int, int]:
    """Return how many rows are run at once, and how often before a step of so many answers.

    Who gives the first alone means a step of it. A row has `each` answers; at most `most` are run
    at once, but for those of one row.
    """
    if args.per_device_train_batch_size is not None:
        return args.per_device_train_batch_size, args.gradient_accumulation_steps or 1
    share = max(1, int(answers / each) // args.world_size)
    if args.gradient_accumulation_steps is not None:
        return max(1, share // args.gradient_accumulation_steps), args.gradient_accumulation_steps
    fitting = (n for n in range(1, share + 1) if share % n == 0 and n * each <= most)
    at_once = max(fitting, default=1)
    return at_once, share // at_once


def _version(args: BakeryConfig) -> int:
    if args.defaults is None:
        args.defaults = defaults.LATEST
    return args.defaults


def _put(config: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set the fields that are open; return which, with their values."""
    found = {
        name: value
        for name, value in values.items()
        if name in OPEN and hasattr(config, name) and getattr(config, name) is None
    }
    for name, value in found.items():
        setattr(config, name, value)
    return found
