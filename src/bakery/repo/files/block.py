"""What a block of recipe.yml has to hold, so that all who read it can rely on it.

A recipe may have been edited, or come with a stranger's repository: a false id would name a folder
outside the store.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bakery.records import BACKENDS
from bakery.shares import REPLAY, RETENTION

_ID = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = re.compile(r"[^/\s\x00-\x1f\x7f-\x9f]+_[0-9a-f]{16}")

JOINED = ("cat", "svd", "ties", "distill")
"""The ways in which weights are put together."""

_LARGEST = sys.float_info.max

Check = Callable[[Any], bool]


def _matches(shape: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and shape.fullmatch(value) is not None


_MODEL = _matches(re.compile(r"[^/\s]+/[^/\s]+/[^/\s]*_[0-9a-f]{16}/[0-9]{1,12}"))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_number(value: Any) -> bool:
    # Compared, as a whole number may be larger than any float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_figures(value: Any) -> bool:
    return _is_mapping(value) and all(v is None or _is_number(v) for v in value.values())


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


_NO_FIGURES = frozenset({"targets", "furthest", "verdict", "side_by_side", "coverage"})
"""What of a card is not a number."""
_SAID = ("question", "base", "prompted", "baked")


def _is_card(value: Any) -> bool:
    """Tell whether a card has figures throughout, for each target, too."""
    if not _is_mapping(value) or not _is_mapping(value.get("targets") or {}):
        return False
    own = {key: figure for key, figure in value.items() if key not in _NO_FIGURES}
    furthest = value.get("furthest", [])
    parts = (value.get("targets") or {}).values()
    measured = own.get("kl_after") is None or own.get("kl_before") is not None
    return (
        measured
        and _is_count(own.get("held_out"))
        and _is_number(own.get("prompt_tokens_saved"))
        and all(v is None or isinstance(v, bool) or _is_number(v) for v in own.values())
        and all(map(_is_card, parts))
        and all(_is_list(value.get(key, [])) for key in ("furthest", "side_by_side", "coverage"))
        and all(map(_is_asked, furthest))
        and ("verdict" not in value or _is_verdict(value["verdict"]))
        and all(map(_are_texts, value.get("side_by_side", [])))
        and all(map(_is_mapping, value.get("coverage", [])))
    )


def _is_verdict(value: Any) -> bool:
    return (
        _is_mapping(value)
        and all(isinstance(value.get(key), str) for key in ("word", "reason"))
        and _is_mapping(value.get("figures", {}))
    )


def _are_texts(value: Any) -> bool:
    """Tell whether a question and its answers, side by side, are texts."""
    said = [value.get(key) for key in _SAID] if _is_mapping(value) else [None]
    return all(isinstance(one, str) for one in said)


def _is_asked(value: Any) -> bool:
    return (
        _is_mapping(value)
        and isinstance(value.get("question"), str)
        and all(_is_number(value.get(key)) for key in ("kl_before", "kl_after"))
    )


def _is_compressed(value: Any) -> bool:
    """Tell whether it says how many ranks of the parent were kept, and what that lost."""
    return (
        _is_mapping(value)
        and all(map(_is_count, (value.get("kept"), value.get("rank"))))
        and 0 < value["kept"] < value["rank"]
        and all(_is_share(value.get(key, 0)) for key in ("lost", "worst_lost"))
        and _is_list(value.get("bakes", []))
        and all(map(_is_lost, value.get("bakes", [])))
    )


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_lost(value: Any) -> bool:
    return _is_mapping(value) and isinstance(value.get("bake"), str) and _is_number(value.get("kl"))


def _is_joined(value: Any) -> bool:
    """Tell whether it says how weights were put together, from which models, and what is left."""
    return (
        _is_mapping(value)
        and value.get("how") in JOINED
        and _is_list(value.get("sides"))
        and all(_is_list(side) and all(map(_MODEL, side)) for side in value["sides"])
        and (value.get("rank") is None or _is_count(value["rank"]))
        and (value.get("instead_of") is None or _MODEL(value["instead_of"]))
        and _is_list(value.get("kept"))
        and all(map(_is_kept, value["kept"]))
    )


def _is_kept(value: Any) -> bool:
    """Tell whether it says what is left of a target, in figures."""
    texts, figures = ("target", "side"), ("agreed_before", "agreed", "kl", "worst")
    return (
        _is_mapping(value)
        and all(isinstance(value.get(key), str) for key in texts)
        and all(_is_count(value.get(key)) for key in ("questions", "other"))
        and all(_is_number(value.get(key)) for key in figures)
    )


def _is_backend(value: Any) -> bool:
    return value in BACKENDS


def _are_values(value: Any) -> bool:
    return _is_mapping(value) and all(isinstance(text, str) for text in value.values())


def _is_prompt(value: Any) -> bool:
    return (
        _is_mapping(value)
        and _is_list(value.get("messages"))
        and all(_is_mapping(m) and isinstance(m.get("role"), str) for m in value["messages"])
        and _is_list(value.get("tools", []))
    )


def _is_teacher(value: Any) -> bool:
    """Tell whether a value names a base, and a model on it or none."""
    base = value.get("base") if isinstance(value, Mapping) else None
    if not isinstance(base, Mapping):
        return False
    named = (base.get("name"), base.get("digest"), value.get("model") or "")
    return all(isinstance(one, str) for one in named)


_TARGET: Mapping[str, Check] = {
    "name": _matches(_NAME),
    "id": _matches(_ID),
    "stim_id": _matches(_ID),
    "stimuli": _is_count,
    "trajectories": _is_count,
    "stimuli_digest": _matches(_DIGEST),
    "trajectories_digest": _matches(_DIGEST),
    "teacher": _is_prompt,
    "student": _is_prompt,
}

_TARGET_FURTHER: Mapping[str, Check] = {
    "defaults": lambda value: _is_count(value) and value > 0,
    "backend": _is_backend,
    "variables": _are_values,
    "weight": _is_number,
    "role": lambda value: value in (REPLAY, RETENTION),
    "writers": _is_figures,
    "seconds": _is_figures,
}


def _is_replay(value: Any) -> bool:
    """Tell whether it says which bake was replayed, and what the names of its input.yml mean."""
    if not _is_mapping(value) or not _matches(_NAME)(value.get("bake")):
        return False
    bases, ids = value.get("bases", []), value.get("ids", {})
    named = [*bases, *ids, *ids.values()] if _is_list(bases) and _is_mapping(ids) else [None]
    return all(isinstance(name, str) for name in named)


def _is_adopted(value: Any) -> bool:
    """Tell whether it says where weights were taken from."""
    return _is_mapping(value) and all(
        isinstance(value.get(key, ""), str) for key in ("from", "commit", "weights")
    )


_FURTHER: Mapping[str, Check] = {
    "adopted": _is_adopted,
    "replayed": _is_replay,
    "base": lambda value: _is_mapping(value) and {"name", "digest"} <= set(value),
    "teacher": lambda value: _is_teacher(value),
    "training": lambda value: _is_mapping(value) and _is_count(value.get("r")),
    "card": _is_card,
    "compressed": _is_compressed,
    "joined": _is_joined,
    "loss": lambda value: _is_figures(value) and {"first", "last", "min"} <= set(value),
    "seconds": _is_figures,
    "versions": _is_mapping,
    "numerics": _is_mapping,
    "notes": _is_list,
    "allowed": _is_list,
    "gate": _is_list,
    "tests": _matches(_BLOB),
    "backend": _is_backend,
    "checkpoints": lambda value: (
        _is_list(value) and all(_is_mapping(row) and _is_count(row.get("step")) for row in value)
    ),
}


def problem(data: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a whole block; None: nothing."""
    for key in ("targets", "training"):
        if data.get(key) is None:
            return f"{key} is missing"
    return next((found for key in data if (found := part_problem(key, data[key]))), None)


def part_problem(key: str, value: Any) -> str | None:
    """Return what is wrong with one entry of a block; None: nothing."""
    if key != "targets":
        check = _FURTHER.get(key)
        return None if value is None or check is None or check(value) else _wrong(key, value)
    if not _is_list(value) or not all(map(_is_mapping, value)):
        return _wrong(key, value)
    for number, target in enumerate(value):
        for name, check in (*_TARGET.items(), *_TARGET_FURTHER.items()):
            at = f"targets[{number}].{name}"
            if name not in target:
                if name in _TARGET:
                    return f"{at} is missing"
            elif not check(target[name]):
                return _wrong(at, target[name])
    return None


def _wrong(at: str, value: Any) -> str:
    said = repr(value)
    return f"{at} cannot be {said if len(said) <= 60 else said[:60] + '…'}"
