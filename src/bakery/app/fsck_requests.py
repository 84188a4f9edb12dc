"""Whether a folder's request.json is that of its id: a copy under another id is told by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.identity import (
    BakeRequest,
    BaseModelId,
    Elsewhere,
    RolloutRequest,
    SamplingSettings,
    StimRequest,
)
from bakery.json_file import DamagedError
from bakery.records import ModelRef, Prompt
from bakery.shaping import FirstWeights, OnPolicySettings, TrainingSettings, Until
from bakery.shares import TargetShare
from bakery.store.findings import Kind
from bakery.store.results import REQUEST

FIRST = 1
"""The version of the defaults of requests that name none."""


def problem(folder: Path) -> tuple[Kind, str] | None:
    """Return why a request is not that of its folder; None: it is, or there is none."""
    path = folder / REQUEST
    if not path.exists():
        return None  # What was imported may have none.
    try:
        data = json_file.load_object(path, most=json_file.LARGEST)
        found = _MADE[folder.parent.name]({"defaults": FIRST, **data})
    except (DamagedError, OSError) as error:
        return "damaged", f"it cannot be read: {error}"
    except (TypeError, KeyError, ValueError, AttributeError):
        return "damaged", "it is not what a stage writes"
    return None if found == folder.name else ("foreign", f"it is of {found}")


def _of_stim(data: Mapping[str, Any]) -> str:
    fields = {**data, "teacher": Prompt.from_data(data["teacher"])}
    return StimRequest(**{**fields, "generators": tuple(data["generators"])}).id


def _of_bake(data: Mapping[str, Any]) -> str:
    training: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data["training"].items()
    }
    for key, kind in (
        ("on_policy", OnPolicySettings),
        ("first_weights", FirstWeights),
        ("until", Until),
    ):
        if training.get(key) is not None:
            training[key] = kind(**training[key])
    prompts, teacher = ("teacher", "student"), data.get("teacher")
    return BakeRequest(
        tuple(
            TargetShare(**{**share, **{side: Prompt.from_data(share[side]) for side in prompts}})
            for share in data["shares"]
        ),
        TrainingSettings(**training),
        BaseModelId(**data["base"]),
        ModelRef(**data["parent"]) if data["parent"] else None,
        data["micro_batch_size"],
        defaults=data["defaults"],
        teacher=_elsewhere(teacher) if teacher else None,
    ).id


def _elsewhere(data: Mapping[str, Any]) -> Elsewhere:
    model = data["model"]
    return Elsewhere(BaseModelId(**data["base"]), ModelRef(**model) if model else None)


def _of_rollout(data: Mapping[str, Any]) -> str:
    parent, student = data["parent"], data.get("student")
    fields = {
        **data,
        "teacher": Prompt.from_data(data["teacher"]),
        "sampling": SamplingSettings(**data["sampling"]),
        "base": BaseModelId(**data["base"]),
        "parent": ModelRef(**parent) if parent else None,
        "student": Prompt.from_data(student) if student else None,
    }
    return RolloutRequest(**fields).id


_MADE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "stim": _of_stim,
    "target": _of_rollout,
    "bake": _of_bake,
}
