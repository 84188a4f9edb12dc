"""Repositories that another tool of this name wrote: read, shown as history, never guessed at.

Their .bread has other sections, their recipe.yml is a plan of steps in one of three shapes, and
their weights are with the vendor. The first `bgit adopt` writes both files in our format, with
these texts inside (`as_data`), so that nothing of them is lost.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bakery import json_file
from bakery.errors import RepoError
from bakery.yaml import reader

DEFAULT_BASE = "Qwen/Qwen3-32B"
"""What such a repository is based on where no file of it says so."""

UNREADABLE = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What a YAML reader raises: dates and numbers that are none are no errors of YAML to it."""


@dataclass(frozen=True, slots=True)
class FormerBake:
    """A bake whose weights are with the vendor. `parent` names a model or bake, if one is known."""

    name: str
    models: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def label(self) -> str:
        """Its name with the step of its model, as models are named; the latest comes first."""
        return f"{self.name}/{self.models[0].rpartition('/')[2]}" if self.models else self.name


@dataclass(frozen=True, slots=True)
class Former:
    """What both files say. `parent` is the model that the next bake would have started from."""

    repository: str
    base: str
    parent: str | None
    bakes: tuple[FormerBake, ...]
    targets: Mapping[str, Mapping[str, Any]]
    """The configuration of each by name; empty where only the name is known."""


def weights_elsewhere(model: str) -> RepoError:
    """Return what to say of a model that another tool baked."""
    return RepoError(
        f"{model} was baked by another tool, and its weights are with the vendor",
        hint="`bgit adopt base` goes on from the base model (with `--base-model NAME|PATH` from "
        "another one), `bgit adopt <model>` from a model that bgit baked; `bgit tree` shows all.",
    )


def not_begun(repository: str) -> RepoError:
    """Return what to say where nobody has told yet which base model to go on from."""
    return RepoError(
        f"{repository} was made by another tool, and bgit does not know its base model yet",
        hint="`bgit adopt base` goes on from the one that it names, `bgit adopt base --base-model "
        "NAME|PATH` from another.",
    )


def hooks(common_dir: Path) -> Iterator[str]:
    """Yield a sentence for each hook of that tool that this clone still has."""
    for name, what in (
        ("pre-commit", "which bgit no longer needs"),
        ("post-merge", "which overwrites what bgit merges"),
    ):
        hook = common_dir / "hooks" / name
        if hook.is_file() and ".bread" in hook.read_text(encoding="utf-8", errors="replace"):
            yield f"{hook} is a hook of the other tool, {what}: delete it"


def is_bread(text: str) -> bool:
    """Tell whether a .bread is of that tool."""
    sections = _sections(text)
    repository = sections.get("REPO", {})
    return (
        "name" in repository
        and "STATE" not in sections
        and not {"owner", "schema"} & set(repository)
    )


def is_recipe(data: Any) -> bool:
    """Tell whether a recipe.yml (parsed) without blocks of ours is of that tool."""
    return (
        isinstance(data, dict) and "schema" not in data and bool({"resources", "steps"} & set(data))
    )


def head(text: str) -> tuple[str, str, str | None]:
    """Return repository, base model and current model of a .bread."""
    sections = _sections(text)
    base = sections.get("RECIPE", {}).get("base_model") or DEFAULT_BASE
    parent = sections.get("PARENT_MODEL", {}).get("model_name") or None
    return sections.get("REPO", {}).get("name", ""), base, parent


def parse(bread: str, recipe: str) -> Former:
    """Return what both files say; a recipe that is not YAML says nothing."""
    name, base, parent = head(bread)
    sections = _sections(bread)
    try:
        data = reader.load(recipe, aliases=True)
    except UNREADABLE:
        data = None
    data = data if isinstance(data, dict) else {}
    targets = dict(_targets(data))
    current = sections.get("TARGET", {}).get("target_name")
    if current:
        targets.setdefault(current, {})
    bakes = merged(*_of_steps(data), *_listed(data), *_of_sections(sections))
    return Former(name, str(data.get("base_model") or base), parent, bakes, targets)


def as_data(bread: str, recipe: str) -> dict[str, str]:
    """Return both texts as they are kept in a recipe.yml of ours."""
    return {"bread": bread.replace("\r\n", "\n"), "recipe": recipe.replace("\r\n", "\n")}


def of_data(data: Mapping[str, Any]) -> Former | None:
    """Return what a recipe.yml (parsed) says: its own text, or what `as_data` kept of another."""
    kept = data.get("former")
    if isinstance(kept, dict):
        return parse(str(kept.get("bread", "")), str(kept.get("recipe", "")))
    if not is_recipe(data):
        return None
    bakes = merged(*_of_steps(data), *_listed(data))
    return Former("", str(data.get("base_model") or ""), None, bakes, dict(_targets(data)))


def merged(*bakes: FormerBake) -> tuple[FormerBake, ...]:
    """Return each bake once, with all that is known of it."""
    found: dict[str, FormerBake] = {}
    for bake in bakes:
        known = found.get(bake.name, bake)
        found[bake.name] = FormerBake(
            bake.name, known.models or bake.models, known.parent or bake.parent
        )
    return tuple(found.values())


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Return sections and keys of an INI file; a dot in a section's name may be escaped."""
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), interpolation=None, strict=False
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keeps the case of keys
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {
        section.replace("\\.", "."): {key: _value(value) for key, value in keys.items()}
        for section, keys in parser.items()
        if section != parser.default_section
    }


def _value(text: str) -> str:
    """Return a value without the quotes that INI writers put around some."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(name) for name in value) if isinstance(value, list) else ()


def _of_steps(data: Mapping[str, Any]) -> Iterator[FormerBake]:
    """Return the bakes of the steps, whichever of the three shapes they have."""
    last: str | None = None
    for step in _mappings(data.get("steps")):
        if step.get("operation") == "bake" and "bake_name" in step:
            models = _names(step.get("model_names"))
            yield FormerBake(str(step["bake_name"]), models, _parent(step) or last)
            last = models[0] if models else str(step["bake_name"])
        elif step.get("action") == "create_bake" and "resource_name" in step:
            yield FormerBake(str(step["resource_name"]), (), _parent(step))
        elif step.get("type") == "bake" and "name" in step:
            yield FormerBake(str(step["name"]), _names(step.get("model_names")), _parent(step))


def _parent(step: Mapping[str, Any]) -> str | None:
    """Return the model, else the bake, that a step of a bake says it starts from."""
    config = step.get("config")
    config = config if isinstance(config, dict) else {}
    model = config.get("model")
    model = model if isinstance(model, dict) else {}
    for place, key in (
        (model, "parent_model_name"), (config, "parent_model_name"),
        (config, "parent_model"), (step, "parent_model"),
    ):  # fmt: skip
        # A base model is named owner/name.
        if isinstance(place.get(key), str) and place[key].count("/") > 1:
            return str(place[key])
    needed = (str(name).split(":") for name in _names(step.get("dependencies")))
    return next((parts[1] for parts in needed if parts[0] == "bake" and len(parts) > 1), None)


def _listed(data: Mapping[str, Any]) -> Iterator[FormerBake]:
    resources = data.get("resources")
    listed = resources.get("bakes") if isinstance(resources, dict) else None
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict) and "bake_name" in item:
            yield FormerBake(str(item["bake_name"]), _names(item.get("model_names")))
        elif isinstance(item, str):
            yield FormerBake(item)


def _of_sections(sections: Mapping[str, Mapping[str, str]]) -> Iterator[FormerBake]:
    for section, keys in sections.items():
        if section.startswith("RECIPE.BAKES."):
            try:
                models = _names(json_file.parse(keys.get("model_names", "[]").replace('\\"', '"')))
            except ValueError:
                models = ()
            yield FormerBake(section.removeprefix("RECIPE.BAKES."), models)


def _targets(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    resources = data.get("resources")
    if isinstance(resources, dict):
        yield from ((name, {}) for name in _names(resources.get("targets")))
    for step in _mappings(data.get("steps")):
        if step.get("action") == "create_target" and "resource_name" in step:
            name = str(step["resource_name"])
        elif step.get("type") == "target" and "name" in step:
            name = str(step["name"])
        elif step.get("operation") in ("run_stim", "run_rollout") and "target" in step:
            name = str(step["target"])
        else:
            continue
        config = step.get("config")
        yield name, config if isinstance(config, dict) else {}
