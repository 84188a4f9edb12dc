"""Flat settings of `bakery.bake`: each is one key of input.yml, under its own name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakery import schema
from bakery.api import asked
from bakery.data import table
from bakery.errors import ConfigError
from bakery.repo.plan import students
from bakery.repo.plan.planned import Head, Plan
from bakery.repo.plan.resolve import resolve
from bakery.schema.sources import Read
from bakery.yaml import text as yaml_text
from bakery.yaml.writer import dump

_LORA = ("BAKE", "model", "baked_adapter_config")

KEYS: Mapping[str, tuple[str, ...]] = {
    "max_tokens": ("TARGET", "max_tokens"),
    "temperature": ("TARGET", "temperature"),
    "num_traj_per_stimulus": ("TARGET", "num_traj_per_stimulus"),
    **{name: ("TARGET", "extra_kwargs", name) for name in schema.SamplingExtras.model_fields
       if name != "seed"},
    "epochs": ("BAKE", "epochs"),
    "micro_batch_size": ("BAKE", "micro_batch_size"),
    "gradient_accumulation_steps": ("BAKE", "gradient_accumulation_steps"),
    "total_trajectories": ("BAKE", "total_trajectories"),
    "eval_interval": ("BAKE", "eval_interval"),
    "seed": ("BAKE", "seed"),
    "on_policy": ("BAKE", "on_policy"),
    "learning_rate": ("BAKE", "optimizer", "learning_rate"),
    "weight_decay": ("BAKE", "optimizer", "weight_decay"),
    "warmup_ratio": ("BAKE", "scheduler", "warmup_ratio"),
    "scheduler": ("BAKE", "scheduler", "type"),
    "r": (*_LORA, "r"),
    "lora_alpha": (*_LORA, "lora_alpha"),
    "lora_dropout": (*_LORA, "lora_dropout"),
    "target_modules": (*_LORA, "target_modules"),
    "dtype": ("BAKE", "model", "dtype"),
    "max_chain_rank": ("BAKE", "model", "max_chain_rank"),
    "student_model_path": ("BAKE", "model", "student_model_path"),
    "attn_implementation": ("BAKE", "model", "attn_implementation"),
    "max_length": ("BAKE", "data", "max_length"),
    "beta": ("BAKE", "data", "beta"),
    "kl_temperature": ("BAKE", "data", "temperature"),
    "train_eval_split": ("BAKE", "data", "train_eval_split"),
    "defaults": ("DEFAULTS",),
}  # fmt: skip
"""Where each setting stands in input.yml."""

ELSEWHERE = {
    "lr": "learning_rate", "num_epochs": "epochs", "num_train_epochs": "epochs", "rank": "r",
    "lora_r": "r", "alpha": "lora_alpha", "dropout": "lora_dropout", "max_new_tokens": "max_tokens",
    "batch_size": "micro_batch_size", "per_device_train_batch_size": "micro_batch_size",
    "random_seed": "seed", "lr_scheduler_type": "scheduler", "loss_temperature": "kl_temperature",
}  # fmt: skip
"""What other libraries call them."""

SOURCE = "settings"


def planned(
    head: Head,
    prompts: Mapping[str, Any],
    generators: list[dict[str, Any]],
    name: str,
    settings: Mapping[str, Any],
    *,
    read: Read,
) -> Plan:
    """Return the plan of one target and one bake; ConfigError names every setting that is wrong."""
    document: dict[str, Any] = {
        "PROMPT": dict(prompts),
        "TARGET": {"name": name, "generators": generators},
        "BAKE": {"name": name},
    }
    for key, value in settings.items():
        if key not in KEYS:
            guess = ELSEWHERE.get(key) or yaml_text.nearest(key, list(KEYS))
            raise ConfigError(
                f"bakery.bake has no setting {key!r}"
                + (f": did you mean {guess!r}?" if guess else ""),
                hint=f"There are: {', '.join(sorted(KEYS))}. What each does: docs/input-yml.md.",
            )
        if value is not None:
            _put(document, KEYS[key], asked.setting(key, value))
    try:
        spec = schema.load(dump(document), source=SOURCE, read=read, rows=table.rows)
    except ConfigError as error:
        raise ConfigError(_in_flat_names(error.message), hint="See docs/input-yml.md.") from error
    try:
        student = students.find(spec, Path.cwd(), head.base)
        return resolve(spec, replace(head, student=student))
    except ConfigError as error:
        raise ConfigError(_in_flat_names(error.message), hint=error.hint) from error


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        document = document.setdefault(part, {})
    document[path[-1]] = value


def _in_flat_names(message: str) -> str:
    """Return problems of a file that nobody wrote as problems of the settings it was made of."""
    message = re.sub(rf"(?m)^{SOURCE}:\d+:\d+: ", "", message)
    given = {"prompt": ("PROMPT", "teacher"), "name": ("TARGET", "name"), **KEYS}
    for name, path in sorted(given.items(), key=lambda item: -len(item[1])):
        message = message.replace(".".join(path), name)
    message = re.sub(r"TARGET\.generators\.\d+(\.\w+)*", "questions", message)
    lines = message.replace("BAKE.name", "name").splitlines()
    return "\n".join(dict.fromkeys(lines))
