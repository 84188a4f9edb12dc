"""`template`: a target or bake that starts from another one's section, and says what differs.

The other's section is taken as it was written, keys of this one are laid over it: mappings key
by key, all else whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bakery.schema.common import Path
from bakery.schema.problems import Problems, advice

DEFAULT = "default"
"""The template that changes nothing."""

Written = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sections:
    """What earlier files said, by every name that a section goes by."""

    targets: dict[str, Written] = field(default_factory=dict)
    bakes: dict[str, Written] = field(default_factory=dict)
    full_names: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each bake: the full names of its targets by the names in its file."""


def filled_in(
    data: Mapping[str, Any], earlier: Callable[[], Sections], problems: Problems
) -> Written:
    """Return the sections of a file with everything that their templates say."""
    result = dict(data)
    written = data.get("TARGET")
    targets = [written] if isinstance(written, Mapping) else written
    if isinstance(targets, Sequence) and not isinstance(targets, str):
        result["TARGET"] = _targets(targets, earlier, problems)
    if isinstance(bake := data.get("BAKE"), Mapping):
        result["BAKE"] = _bake(bake, earlier, problems, _names(result.get("TARGET")))
    return result


def named(targets: Any) -> dict[str, Written]:
    """Return the target sections of a file by their names."""
    listed = [targets] if isinstance(targets, Mapping) else targets
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return {}
    return {
        str(target.get("name", "target")): dict(target)
        for target in listed
        if isinstance(target, Mapping)
    }


def _names(targets: Any) -> set[str]:
    return set(named(targets))


def _targets(
    targets: Sequence[Any], earlier: Callable[[], Sections], problems: Problems
) -> list[Any]:
    own = {
        str(target["name"]): number
        for number, target in enumerate(targets)
        if isinstance(target, Mapping) and "name" in target
    }

    def whole(number: int, seen: tuple[int, ...]) -> Any:
        target = targets[number]
        name = _template(target)
        if name is None:
            return target
        path: Path = ("TARGET", number, "template")
        if name in own:
            other = own[name]
            if other in (*seen, number):
                problems.add(f"TARGET.template: {name!r} starts from itself", *path)
                problems.unfilled.update(("TARGET", n) for n in (*seen, number))
                return target
            return _laid_over(whole(other, (*seen, number)), target)
        known = earlier().targets
        if name not in known:
            candidates = [*(n for n in own if n != target.get("name")), *known]
            problems.add(f"TARGET.template: {_no_such('target', name, candidates)}", *path)
            problems.unfilled.add(path[:2])
            return target
        return _laid_over(known[name], target)

    return [whole(number, ()) for number in range(len(targets))]


def _bake(
    bake: Mapping[str, Any], earlier: Callable[[], Sections], problems: Problems, own: set[str]
) -> Mapping[str, Any]:
    name = _template(bake)
    if name is None:
        return bake
    known = earlier()
    if name not in known.bakes:
        told = _no_such("bake", name, list(known.bakes))
        problems.add(f"BAKE.template: {told}", "BAKE", "template")
        return bake
    start = dict(known.bakes[name])
    full = {k: v for k, v in known.full_names.get(name, {}).items() if k not in own}
    if full and "datasets" not in bake and ("datasets" in start or not own):
        start["datasets"] = _by_full_name(start.get("datasets"), full)
    return _laid_over(start, bake)


def _by_full_name(datasets: Any, full: Mapping[str, str]) -> Any:
    """Return the inherited mix with the targets of that time, where this file has no such."""
    if datasets is None:
        return [{"target": name} for name in full.values()]
    listed = [datasets] if isinstance(datasets, Mapping) else datasets
    return [
        {**entry, "target": full.get(str(entry["target"]), entry["target"])}
        if isinstance(entry, Mapping) and "target" in entry
        else entry
        for entry in listed
    ]


def _template(section: Any) -> str | None:
    """Return what a section starts from; None where from nothing."""
    name = section.get("template") if isinstance(section, Mapping) else None
    return name if isinstance(name, str) and name != DEFAULT else None


def _no_such(kind: str, name: str, known: Sequence[str]) -> str:
    if not known:
        return f"there is no {kind} {name!r}, and none to start from yet"
    return f"there is no {kind} {name!r}: {advice(name, known)}"


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Written:
    """Return the mapping below with the one above over it; lists are replaced whole."""
    result = {key: value for key, value in below.items() if not _is_replaced(key, above)}
    for key, value in above.items():
        both = isinstance(result.get(key), Mapping) and isinstance(value, Mapping)
        result[key] = _laid_over(result[key], value) if both else value
    return result


_SAME = (("teacher", "teacher_prompt", "u"), ("student", "student_prompt", "v"))
"""Keys of a target of which one says what the others would."""


def _is_replaced(key: str, above: Mapping[str, Any]) -> bool:
    """Tell whether the mapping above says the same by another key."""
    return any(key in same and above.keys() & {*same} - {key} for same in _SAME)
