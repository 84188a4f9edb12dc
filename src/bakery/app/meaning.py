"""What a model's name means: nothing is loaded, and it is said where nothing is called so.

A name is anything that the repository understands, a base model's own name, or the folder of an
adapter or a model that no repository knows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.app import outputs, run, stored
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError
from bakery.identity import BaseModelId
from bakery.paths import expanded
from bakery.records import Prompt, given_name
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.schema.model_names import GGUF
from bakery.spelling import nearest
from bakery.store import results
from bakery.store.results import RESULT, WEIGHTS
from bakery.strengths import MOST, Side, doubled, side_of
from bakery.variables import Values, shown, sides

ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Meant:
    """The model that a name means, before anything is loaded.

    `folder` None: the base itself. `bake` None: no repository knows it. `side` None: the name says
    neither `@prompted` nor a strength.
    """

    name: str
    base: BaseModelId
    folder: Path | None = None
    bake: RecordedBake | None = None
    side: Side | None = None

    @property
    def is_prompted(self) -> bool:
        """Whether its bake's prompt is put in front of it."""
        return self.side is not None and self.side.is_prompted

    @property
    def strength(self) -> float:
        """How much of its bake the name means: a prompted model is the parent, so none."""
        if self.side is None or self.side.strength is None:
            return 0.0 if self.is_prompted else 1.0
        return self.side.strength


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a bake was taught with: the prompt it replaces, and the one that will do."""

    target: str
    teacher: Prompt
    student: Prompt
    first_row: Values = field(default_factory=dict)
    """What the variables of the prompts are filled with; empty where there are none."""
    by: str | None = None
    """The model that taught it, where that lies on another base; None: its own parent."""

    @property
    def remark(self) -> str | None:
        """Which row the prompts are of, where each has its own."""
        if not self.first_row:
            return None
        return f"the prompt of {self.target} is that of its first row: {shown(self.first_row)}"


def find(
    repo: ModelRepo | None, name: str, *, base: str | None = None, outside: bool = True
) -> Meant:
    """Return the model that a name means; where there is none, say which there are.

    `NAME[@prompted][:STRENGTH]`, where nothing is called that as a whole. `base` is the base model
    for an adapter's folder whose own is not to be found. Not `outside`: a name is never a path.
    """
    if not name.strip():
        raise ConfigError(
            "the name of a model is empty", hint="Leave it out, or name one: `bgit models`."
        )
    side = side_of(name)
    if side is None:
        return _named(repo, name, base, outside)
    try:
        return _named(repo, name, base, outside)
    except BakeryError:
        meant = _scaled(repo, side, base, outside)
    check_strength(1.0 if side.strength is None else side.strength)
    if meant.folder is None and not side.is_prompted:
        raise nothing_to_scale(meant.name)
    if side.is_prompted and (meant.folder is None or taught(meant) is None):
        why = "carries no bake" if meant.folder is None else "was not baked here"
        raise ConfigError(
            f"{meant.name} {why}, so there is no prompt to put in front of it",
            hint="Name a bake of this repository: `bgit models` lists them.",
        )
    if side.is_prompted:
        with_own_teacher(meant, "@prompted")
    return replace(meant, name=f"{meant.name}{side.suffix}", side=side)


def _scaled(repo: ModelRepo | None, side: Side, base: str | None, outside: bool) -> Meant:
    """Return the model that a side is of; a second side is told as that."""
    try:
        return _named(repo, side.name, base, outside)
    except BakeryError:
        inner = side_of(side.name)
        if inner is None:
            raise
    _scaled(repo, inner, base, outside)  # or that is what is wrong with it
    told = doubled(side)
    assert told is not None  # its name has a side
    what, ways = told
    raise ConfigError(f"{side.name}{side.suffix} says {what}", hint=f"{ways} says it once.")


def without_prompt(meant: Meant, command: str) -> None:
    """Refuse a name with @prompted where the prompted model is one of the sides anyway."""
    if meant.is_prompted:
        raise ConfigError(
            f"{command} has the prompted model answer beside the bake, so {meant.name} is no "
            "model of its own there",
            hint=f"Name it without {meant.side.suffix if meant.side else ''}.",
        )


def taught_by(meant: Meant) -> str | None:
    """Return the model on another base that a bake learnt from; None: its own parent taught it."""
    told = meant.bake.part("teacher") if meant.bake is not None else None
    if meant.bake is None and meant.folder is not None:
        places = [place / RESULT for place in (meant.folder, meant.folder.parent)]
        found = next((path for path in places if path.is_file()), None)
        told = _read(found).get("teacher") if found is not None else None
        if told is None and (left := outputs.beside(meant.folder)) is not None:
            told = left.teacher
    return str(told.get("model") or told["base"]["name"]) if told else None


def with_own_teacher(meant: Meant, command: str) -> None:
    """Refuse a student of another base where the prompted model would be asked, too."""
    if by := taught_by(meant):
        raise ConfigError(
            f"{command} asks the prompted model, and {meant.name} learnt from {by}, which lies on "
            "another base",
            hint=f"Its card and `bgit report` have what both answered; `bgit test` checks it "
            f"alone, and `bgit chat {by} --system @FILE` is its teacher.",
        )


def as_baked(meant: Meant, command: str) -> None:
    """Refuse a name with @prompted or a strength where all of a bake is looked at."""
    if meant.side is not None:
        raise ConfigError(
            f"{command} looks at a model as it was baked, and {meant.name} is another",
            hint=f"Name it without {meant.side.suffix}.",
        )


def _named(repo: ModelRepo | None, name: str, base: str | None, outside: bool) -> Meant:
    if repo is not None and not outside:
        return _inside(repo, name)
    folder = _folder_with(ADAPTER_CONFIG, name)
    if folder is not None:
        return _outside(folder, base)
    if base is not None:
        raise ConfigError(
            f"{name} is not a folder with an {ADAPTER_CONFIG}, so --base-model does not apply",
            hint="A bake of a repository knows its base; to talk to a base, give its own name.",
        )
    if repo is None or _folder_with("config.json", name) or _is_file(name):
        found = run.base_model(name)
        return Meant(found.name, found)
    return _inside(repo, name)


def _inside(repo: ModelRepo, name: str) -> Meant:
    """Return a model of a repository: no name is looked for among folders and files."""
    try:
        recorded = repo.find_model(name)
    except RepoError:
        held = _held_back(repo, name)
        if held is not None:
            return replace(_outside(held, None), name=name)
        if not _is_embedded(name):
            raise
        found = run.base_model(name)
        return Meant(found.name, found)
    if recorded is None:
        of = repo.state().base
        return Meant(of.name, of)
    weights = stored.weights(repo, recorded.model)
    return Meant(str(recorded.model), repo.base_of(recorded), weights, recorded)


def _held_back(repo: ModelRepo, name: str) -> Path | None:
    """Return the weights of a bake that a gate keeps from being recorded, by its name or its id."""
    found = _OF_BAKE.fullmatch(name)
    if found is None:
        return None
    folder = repo.store.bake(found["id"])
    told = results.seen(folder / RESULT) or {}
    weights = folder / str(told.get("step"))
    return weights if "refused" in told and (weights / WEIGHTS).is_file() else None


_OF_BAKE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*_)?(?P<id>[0-9a-f]{16})")


def prompts(meant: Meant, target: str | None = None) -> tuple[Prompts, list[str]]:
    """Return what a bake was taught with, and the names of all targets that taught it something.

    `target` None: the first of them.
    """
    found = targets(meant)
    if found is None:
        raise ConfigError(
            f"{meant.name} was not baked here, so there is no prompt to compare it with",
            hint="Name a bake of this repository: `bgit models` lists them.",
        )
    by = taught_by(meant)
    taught = [
        Prompts(str(entry["name"]), *sides(entry), entry.get("variables") or {}, by)
        for entry in found
        if entry["teacher"] != entry["student"]
    ]
    names = [entry.target for entry in taught]
    chosen = [t for t in taught if target is None or target in (t.target, given_name(t.target))]
    if not chosen:
        asked = f"has no target {target!r}" if target else "was taught nothing new"
        if target and (near := nearest(target, map(given_name, names))):
            asked += f": did you mean {near[0]}?"
        raise ConfigError(
            f"{meant.name} {asked}",
            hint="Its targets: " + (", ".join(names) or "all keep what was there") + ".",
        )
    return chosen[0], names


def taught(meant: Meant) -> Prompts | None:
    """Return what a bake was taught with first; None: nothing that is known here."""
    found = targets(meant) or ()
    new = any(entry["teacher"] != entry["student"] for entry in found)
    return prompts(meant)[0] if new else None


def targets(meant: Meant) -> Sequence[Mapping[str, Any]] | None:
    """Return the targets of a bake, as its recipe or the file beside its weights has them."""
    if meant.bake is not None:
        found: Sequence[Mapping[str, Any]] = meant.bake.data["targets"]
        return found
    for folder in (meant.folder, meant.folder.parent) if meant.folder else ():
        if (folder / RESULT).is_file():
            return _recorded_targets(folder / RESULT)
    left = outputs.beside(meant.folder) if meant.folder else None
    return left.targets if left else None


def _recorded_targets(path: Path) -> Sequence[Mapping[str, Any]] | None:
    """Return the targets that a bake.json names; ModelError where no bake wrote them so."""
    found = _read(path).get("targets")
    if not isinstance(found, list):
        return None
    for entry in found:
        prompts = [entry.get(key) for key in _PROMPTS] if isinstance(entry, dict) else [None]
        if not all(isinstance(p, dict) and isinstance(p.get("messages"), list) for p in prompts):
            raise ModelError(f"{path} is damaged: its targets are not what a bake writes")
    return found


_PROMPTS = ("teacher", "student")


def check_strength(strength: float) -> None:
    """Refuse what is no number, or more than anybody means, before a model is loaded."""
    if isinstance(strength, bool | str) or not math.isfinite(strength):
        said = f"strength is a number, and not {strength!r}"
    elif abs(strength) > MOST:
        said = f"strength is a number from {-MOST:g} to {MOST:g}, and not {strength:g}"
    else:
        return
    raise ConfigError(said, hint="0 is the model that a bake was made on, 1 the bake.")


def nothing_to_scale(name: str) -> ConfigError:
    """Return why a model without a bake has no strength."""
    return ConfigError(
        f"{name} carries no bake, so there is no strength to set",
        hint="Name a baked model: `bgit models` lists them.",
    )


def _is_file(name: str) -> bool:
    """Tell whether a name is the path of a model in one file, here or gone."""
    if name.endswith(GGUF) or not name.startswith((".", "/", "~")):
        return name.endswith(GGUF)
    try:
        return expanded(name).is_file()
    except (OSError, RuntimeError, ValueError):  # too long, a user unknown: no path at all
        return False


def _folder_with(file: str, name: str) -> Path | None:
    """Return the folder of that name where it has a file; None: the name is something else."""
    try:
        folder = expanded(name)
        return folder.resolve() if (folder / file).is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, a user unknown: no path at all
        return None


def _outside(folder: Path, base: str | None) -> Meant:
    """Return an adapter that lies in a folder of its own."""
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder} holds no adapter_model.safetensors",
            hint="Only safetensors are read: other formats can run code.",
        )
    try:
        found = run.base_model(base) if base else _base(folder)
    except ModelError as error:
        raise ModelError(
            f"the base of the adapter in {folder} is not here: {error.message}",
            hint="`--base-model` says where it is: a folder, a .gguf file, or a hub id.",
        ) from error
    return Meant(str(folder), found, folder)


def _base(folder: Path) -> BaseModelId:
    """Return the base that an adapter was made on: in a store its bake says so, else itself."""
    if (path := folder.parent / RESULT).is_file():
        base = _read(path).get("base")
        said = base if isinstance(base, dict) else {}
        if not all(isinstance(said.get(key), str) for key in ("name", "revision", "digest")):
            raise ModelError(f"{path} is damaged: the base that it names is not what a bake writes")
        known = {field.name for field in fields(BaseModelId)}
        return BaseModelId(**{key: value for key, value in said.items() if key in known})
    config = _read(folder / ADAPTER_CONFIG)
    name = str(config.get("base_model_name_or_path") or "")
    if not name:
        raise ModelError(f"{ADAPTER_CONFIG} names none")
    from bakery.engine.bases import bases

    return bases.identify(name, str(config.get("revision") or ""))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return json_file.load_object(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def _is_embedded(name: str) -> bool:
    from bakery.engine.bases import bases

    return name == bases.EMBEDDED or name in bases.ALIASES
