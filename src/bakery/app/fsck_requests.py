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
    JoinRequest,
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
    base = BaseModelId(**data["base"])
    parent = ModelRef(**data["parent"]) if data["parent"] else None
    if "how" in data:
        return _of_join(data, base, parent)
    return BakeRequest(
        _shares(data),
        _training(data["training"]),
        base,
        parent,
        data["micro_batch_size"],
        defaults=data["defaults"],
        teacher=_elsewhere(data["teacher"]) if data.get("teacher") else None,
        compressed=data.get("compressed"),
    ).id


def _of_join(data: Mapping[str, Any], base: BaseModelId, parent: ModelRef | None) -> str:
    known: dict[str, Any] = {name: data[name] for name in ("how", "rank", "wins")}
    training = _training(data["training"]) if data["training"] else None
    sides = tuple(map(tuple, data["sides"]))
    return JoinRequest(
        **known,
        sides=sides,
        base=base,
        parent=parent,
        training=training,
        shares=_shares(data),
        left_out=tuple(data["left_out"]),
        compressed=data.get("compressed"),
    ).id


def _training(data: Mapping[str, Any]) -> TrainingSettings:
    training: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    for key, kind in (
        ("on_policy", OnPolicySettings),
        ("first_weights", FirstWeights),
        ("until", Until),
    ):
        if training.get(key) is not None:
            training[key] = kind(**training[key])
    return TrainingSettings(**training)


def _shares(data: Mapping[str, Any]) -> tuple[TargetShare, ...]:
    prompts = ("teacher", "student")
    return tuple(
        TargetShare(**{**share, **{side: Prompt.from_data(share[side]) for side in prompts}})
        for share in data["shares"]
    )


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
