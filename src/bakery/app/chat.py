"""From a model's name to whoever answers: found first, loaded only then.

A name is anything that the repository understands, a base model's own name, or the folder of an
adapter or a model that no repository knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import json_file
from bakery.app import outputs, run, stored
from bakery.app.named_paths import folder_with, is_file
from bakery.conversation import Voice
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError
from bakery.identity import BaseModelId
from bakery.records import Prompt, given_name
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.spelling import nearest
from bakery.store.results import RESULT, WEIGHTS
from bakery.strengths import Side, side_of

if TYPE_CHECKING:
    from bakery.backends.chatting import LocalSpeaker
    from bakery.backends.local import LocalModel
    from bakery.engine.models.models import BaseModel
    from bakery.engine.models.strength import Dial, Strength

ADAPTER_CONFIG = "adapter_config.json"


def _as_baked() -> Strength:
    from bakery.engine.models.strength import AS_BAKED

    return AS_BAKED


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


def find(
    repo: ModelRepo | None, name: str, *, base: str | None = None, outside: bool = True
) -> Meant:
    """Return the model that a name means; where there is none, say which there are.

    `NAME[@prompted][:STRENGTH]`, where nothing is called that as a whole. `base` is the base model
    for an adapter's folder whose own is not to be found. Not `outside`: a name is never a path.
    """
    side = side_of(name)
    if side is None:
        return _named(repo, name, base, outside)
    try:
        return _named(repo, name, base, outside)
    except BakeryError:
        meant = _named(repo, side.name, base, outside)
    if meant.folder is None:
        raise _nothing_to_scale(meant.name)
    if side.is_prompted and taught(meant) is None:
        raise ConfigError(
            f"{meant.name} was not baked here, so there is no prompt to put in front of it",
            hint="Name a bake of this repository: `bgit models` lists them.",
        )
    return replace(meant, name=f"{meant.name}{side.suffix}", side=side)


def without_prompt(meant: Meant, command: str) -> None:
    """Refuse a name with @prompted where the prompted model is one of the sides anyway."""
    if meant.is_prompted:
        raise ConfigError(
            f"{command} has the prompted model answer beside the bake, so {meant.name} is no "
            "model of its own there",
            hint=f"Name it without {meant.side.suffix if meant.side else ''}.",
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
    folder = folder_with(ADAPTER_CONFIG, name)
    if folder is not None:
        return _outside(folder, base)
    if base is not None:
        raise ConfigError(
            f"{name} is not a folder with an {ADAPTER_CONFIG}, so --base-model does not apply",
            hint="A bake of a repository knows its base; to talk to a base, give its own name.",
        )
    if repo is None or folder_with("config.json", name) or is_file(name):
        found = run.base_model(name)
        return Meant(found.name, found)
    return _inside(repo, name)


def _inside(repo: ModelRepo, name: str) -> Meant:
    """Return a model of a repository: no name is looked for among folders and files."""
    try:
        recorded = repo.find_model(name)
    except RepoError:
        if not _is_embedded(name):
            raise
        found = run.base_model(name)
        return Meant(found.name, found)
    of = repo.state().base
    if recorded is None:
        return Meant(of.name, of)
    weights = stored.weights(repo, recorded.model)
    return Meant(str(recorded.model), of, weights, recorded)


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
    taught = [
        Prompts(
            str(entry["name"]),
            Prompt.from_data(entry["teacher"]),
            Prompt.from_data(entry["student"]),
        )
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


@dataclass(slots=True)
class Opened:
    """A model in memory. `dial` turns its bakes up and down; None: it carries none."""

    name: str
    local: LocalModel
    dial: Dial | None = None
    whole_chain: bool = False
    strength: Strength = field(default_factory=_as_baked)

    def scale(self, strength: float) -> None:
        """Have more or less of the last bake, of all bakes where `whole_chain`."""
        if isinstance(strength, bool | str) or not math.isfinite(strength):
            raise ConfigError(
                f"strength is a number, and not {strength!r}",
                hint="0 is the model that a bake was made on, 1 the bake.",
            )
        if self.dial is None and strength != 1:
            raise _nothing_to_scale(self.name)
        own = strength if self.whole_chain else 1.0
        self.strength = type(self.strength)(strength, own)

    def turn(self, strength: Strength | None = None) -> None:
        """Make the loaded weights those of a strength; None: of its own."""
        if self.dial is not None:
            self.dial.turn(strength or self.strength)

    def speaker(self) -> LocalSpeaker:
        """Return who answers as this model at its strength."""
        from bakery.backends.chatting import LocalSpeaker

        found = LocalSpeaker(self.name, self.local, dial=self.dial, whole_chain=self.whole_chain)
        if self.dial is not None:
            found.scale(self.strength.own)
        return found


def opened(
    meant: Meant,
    *,
    strength: float | None = None,
    whole_chain: bool = False,
    thinking: bool | None = None,
    loaded: BaseModel | None = None,
    reporter: Reporter,
) -> Opened:
    """Load a model; `loaded` is its base, where that is in memory already.

    `strength` None: as its name says. `thinking` None: as its template has it. `whole_chain`: the
    strength is that of the bakes it was built on, too.
    """
    if strength is None:
        strength = meant.strength
    elif meant.side is not None and meant.side.strength not in (None, strength):
        raise ConfigError(
            f"{meant.name} names one strength, and {strength:g} is another",
            hint="Say it once: behind the name, or as the strength.",
        )
    if meant.folder is None and strength != 1:
        raise _nothing_to_scale(meant.name)
    reporter.note(f"loading {meant.name}")

    from bakery.backends.chatting import set_thinking
    from bakery.backends.local import LocalModel
    from bakery.engine.models.strength import Dial

    base = loaded or outputs.load(meant.base, meant.folder, reporter=reporter)
    local = LocalModel(base, name=meant.name, parent=meant.folder)
    if thinking is not None:
        set_thinking(local, thinking)
    dial = Dial(local.model, meant.folder) if meant.folder else None
    found = Opened(meant.name, local, dial, whole_chain)
    found.scale(strength)
    return found


def _nothing_to_scale(name: str) -> ConfigError:
    return ConfigError(
        f"{name} carries no bake, so there is no strength to set",
        hint="Name a baked model: `bgit models` lists them.",
    )


def voices(
    meant: Meant,
    *,
    strength: float | None = None,
    whole_chain: bool = False,
    thinking: bool | None = None,
    taught: Prompts | None = None,
    reporter: Reporter,
) -> tuple[Sequence[Voice], Sequence[Voice]]:
    """Load a model and return it alone, and the base, the prompted parent and it side by side.

    `taught` None: there are no sides. `thinking` None: as the template has it. `whole_chain`: the
    strength is that of the bakes it was built on, too.
    """
    found = opened(
        meant, strength=strength, whole_chain=whole_chain, thinking=thinking, reporter=reporter
    )
    itself = found.speaker()
    behind = taught.teacher if taught and meant.is_prompted else Prompt()
    alone = [Voice("", itself, behind)]
    if taught is None:
        return alone, ()
    parent = str(meant.bake.parent) if meant.bake and meant.bake.parent else meant.base.name
    from bakery.backends.chatting import LocalSpeaker
    from bakery.engine.models.strength import AS_BASE, AS_PARENT

    local, dial = found.local, found.dial
    bare = LocalSpeaker(meant.base.name, local, dial=dial, at=AS_BASE, scalable=False)
    teacher = LocalSpeaker(parent, local, dial=dial, at=AS_PARENT, scalable=False)
    return alone, [
        Voice("base", bare, taught.student),
        Voice("prompted", teacher, taught.teacher, fixed=True),
        Voice("baked", itself, taught.student),
    ]


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
