"""recipe.yml: how every bake that led to this commit was made.

One block of text per bake, appended at the end and never written anew: merges and reverts
then move whole blocks. A block opens and closes with a comment that names its bake, so blocks
are found without reading YAML, and a lineage of many reads only the head of each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from bakery.card import Card
from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef, given_name, hex_of
from bakery.repo.files import block as recorded
from bakery.repo.files import hosted, state
from bakery.repo.files.hosted import Former
from bakery.repo.files.names import RECIPE
from bakery.repo.files.split import CLOSE, OPEN, id_of, split
from bakery.yaml import reader
from bakery.yaml.writer import dump

SCHEMA = 1

_HEX = re.compile(r"[0-9a-f]{1,64}")

_BASE_LINE = re.compile(r"^base_model:.*\n", re.MULTILINE)
_OF_BASE = re.compile(r"^base_digest:.*\n", re.MULTILINE)
"""Beside it, where a recipe was moved to another base: what that one contains."""

# A block's head: what a lineage shows. What follows is read only when asked for.
_DETAILS = "\n      steps:"

# A head as `block` writes it, so that many are read in no time; any other is left to YAML.
_WORD = r"""("[^"\\\n]*"|'[^'\n]*'|[A-Za-z][^\s:#"']*)"""
_HEAD = re.compile(
    rf"    # >>> bake [0-9a-f]{{16}}\n    - bake_name: {_WORD}\n      model_names:\n"
    r"((?:        - [^\n]*\n)+)"
    rf"      parent: ?(?:null|\n        model: {_WORD}\n        digest: [^\n]*)\n"
    rf"      digest: {_WORD}\n      input: {_WORD}"
)
_LISTED = re.compile(rf"        - {_WORD}\n")


@dataclass(frozen=True, slots=True)
class RecordedBake:
    """One bake of a recipe. `parent` is None where it starts from the base model."""

    name: str
    models: tuple[ModelRef, ...]
    parent: ModelRef | None
    digest: str
    input_blob: str
    """The git blob of the input.yml that it was baked from."""
    block: str = field(repr=False)

    @property
    def id(self) -> str:
        """The 16 hex digits that the store is keyed by."""
        return hex_of(self.name)

    @property
    def base_name(self) -> str:
        """The name that input.yml gave."""
        return given_name(self.name)

    @property
    def model(self) -> ModelRef:
        """The model that the bake gave: the latest, where it kept several steps."""
        return self.models[0]

    @property
    def data(self) -> Mapping[str, Any]:
        """The whole block: steps, targets with their prompts, loss, card, seconds, versions."""
        return _item(self.block, self.name)

    @property
    def defaults(self) -> int:
        """The version of the defaults that it was planned by."""
        found = self.part("defaults")
        return 1 if found is None else int(found)

    @property
    def rank(self) -> int:
        """How many ranks of a composed adapter are its own."""
        return _rank(self.block)

    @property
    def kept_of_parent(self) -> int | None:
        """How many ranks of its parent are in its adapter; None: all."""
        found = self.part("compressed") if self.parent else None
        return int(found["kept"]) if found else None

    @property
    def card(self) -> Card | None:
        """How near it is to the prompted model; None: the recipe does not say."""
        found = self.part("card")
        return Card.from_data(found) if found else None

    @property
    def backend(self) -> str | None:
        """What wrote and answered in place of a model, so that it is made up; None: models did."""
        found = self.part("backend")
        return None if found is None else str(found)

    @property
    def joined_from(self) -> tuple[ModelRef, ...]:
        """Whose ranks it was put together from; empty where it was trained on a prompt."""
        told = self.part("joined") or {}
        return tuple(ModelRef.parse(name) for side in told.get("sides", ()) for name in side)

    @property
    def instead_of(self) -> ModelRef | None:
        """The model whose place it took, where that is not its parent; None: that was its parent's.

        Ranks of two sides in fewer are put on the model that both come from.
        """
        found = (self.part("joined") or {}).get("instead_of")
        return None if found is None else ModelRef.parse(found)

    def digest_of(self, step: int) -> str:
        """Return the digest of the model at a step: of the last, or of one kept on the way."""
        return str(self.on_the_way(step).get("digest", self.digest))

    def on_the_way(self, step: int) -> Mapping[str, Any]:
        """Return digest and KL of a step that was kept on the way; empty for the last."""
        return next((row for row in self.part("checkpoints") or () if row["step"] == step), {})

    def part(self, key: str) -> Any:
        """Return one entry of `data` without reading the others; None where it is missing."""
        start = self.block.find(f"\n      {key}:")
        if start < 0:
            return None
        end = _NEXT_KEY.search(self.block, start + 1)
        return _part(self.block[start : end.start() if end else None], key)


def recorded_base(bake: RecordedBake) -> BaseModelId | None:
    """Return the base model that a bake says it was made on."""
    return _base(bake.part("base"))


def teacher_of(bake: RecordedBake) -> tuple[BaseModelId, ModelRef | None] | None:
    """Return the base and the bake on it that taught another base; None: its parent taught it."""
    data = bake.part("teacher")
    base = _base(data["base"]) if data else None
    if base is None:
        return None
    return base, ModelRef.parse(data["model"]) if data.get("model") else None


def _base(data: Any) -> BaseModelId | None:
    if not isinstance(data, dict) or not {"name", "digest"} <= set(data):
        return None
    known = {key: data[key] for key in BaseModelId.__dataclass_fields__ if key in data}
    return BaseModelId(**{"revision": "", **known})


def new(base_model: str, history: Mapping[str, str] | None = None) -> str:
    """Return the text of a recipe without bakes; `history` is what `hosted.as_data` gives."""
    kept = f"\n# What another tool had written before.\n{dump({'former': history})}\n"
    return f"""\
# Every bake that led to this commit, in order: how to make the model again.
# bgit writes this file: one block per bake, at the end.

schema: {SCHEMA}

{dump({"base_model": base_model})}
{kept if history else ""}
resources:
  bakes:
"""


def block(result: Mapping[str, Any], *, model: ModelRef, input_blob: str) -> str:
    """Return the text that records a bake; `result` is its bake.json.

    One that could not be read again is refused: it would make the whole recipe unreadable.
    """
    targets = [dict(target) for target in result["targets"]]
    on_the_way = sorted((kept["step"] for kept in result.get("checkpoints", ())), reverse=True)
    names = [str(replace(model, step=step)) for step in (model.step, *on_the_way)]
    data = {
        "bake_name": model.bake,
        "model_names": names,
        "parent": result.get("parent"),
        "digest": result["digest"],
        "input": input_blob,
        "steps": _steps(model.bake, names, targets),
        "targets": targets,
        **{key: result[key] for key in _RESULTS if key in result},
    }
    if found := recorded.problem(data):
        raise RepoError(
            f"the bake.json of {model.bake} is damaged: {found}",
            hint="`bgit run bake --force` trains it again.",
        )
    lines = dump([data]).rstrip("\n").split("\n")
    indented = "".join(f"    {line}\n" if line else "\n" for line in lines)
    return f"{OPEN}{model.bake_id}\n{indented}{CLOSE}{model.bake_id}\n"


_RESULTS = (
    "adopted", "replayed", "defaults", "backend", "base", "teacher", "compressed", "joined",
    "training", "tests", "allowed", "gate", "checkpoints", "loss", "on_policy", "until", "card",
    "seconds", "started", "finished", "versions", "numerics", "notes",
)  # fmt: skip


def _steps(
    bake: str, models: Sequence[str], targets: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    names = [target["name"] for target in targets]
    stim = [{"target": t["name"], "output_count": t["stimuli"], "writers": t["writers"]}
            for t in targets]  # fmt: skip
    rollout = [{"target": t["name"], "trajectory_count": t["trajectories"]} for t in targets]
    return [
        {"step": 1, "operation": "add_prompt",
         "prompts": [f"{name}/{kind}" for name in names for kind in ("teacher", "student")]},
        {"step": 2, "operation": "run_stim", "outputs": stim},
        {"step": 3, "operation": "run_rollout", "outputs": rollout},
        {"step": 4, "operation": "bake", "bake_name": bake, "model_names": list(models)},
    ]  # fmt: skip


def parse(text: str, source: str = "recipe.yml") -> list[RecordedBake]:
    """Return the bakes of a recipe in order; RepoError says what to do where it does not parse."""
    header, found = split(_bytes(text), source)
    try:
        data = reader.load(header, aliases=True)
        if not found and hosted.is_recipe(data):
            return []
        state.refuse_newer(data["schema"], source)
        bakes = data["resources"]["bakes"]
    except hosted.UNREADABLE as error:
        raise state.damaged(source, " ".join(str(error).split())) from error
    if bakes:
        raise state.damaged(source, "it names bakes outside the blocks that bgit wrote")
    return [read(bake_id, block.decode(), source) for bake_id, block in found]


def blocks(text: str, source: str = "recipe.yml") -> dict[str, str]:
    """Return the block of every bake by its id, in order, without reading YAML."""
    return {bake_id: block.decode() for bake_id, block in split(_bytes(text), source)[1]}


def outside(text: str) -> str:
    """Return what stands outside the blocks."""
    return split(_bytes(text), RECIPE)[0].decode()


def former_of(header: str) -> Former | None:
    """Return what another tool had recorded, from what stands outside the blocks."""
    if "\nformer:" not in header and "\nschema:" in header:
        return None
    try:
        data = reader.load(header, aliases=True)
    except hosted.UNREADABLE:
        return None
    return hosted.of_data(data) if isinstance(data, dict) else None


def read(bake_id: str, block: str, source: str = "recipe.yml") -> RecordedBake:
    """Return the bake that a block records."""
    bake = _head(block)
    if isinstance(bake, str):
        raise state.damaged(source, f"bake {bake_id}: {bake}")
    if bake.id != bake_id or bake.model.bake != bake.name:
        raise state.damaged(source, f"the block of bake {bake_id} holds {bake.name}")
    return bake


def append(text: str, block: str) -> str:
    """Return the recipe with one more block at its end; as it is where it has that bake."""
    if id_of(block) in blocks(text):
        return text
    return (text if text.endswith("\n") else text + "\n") + block


def remove(text: str, ids: Collection[str]) -> str:
    """Return the recipe without the blocks of some bakes, all else as it is."""
    for bake_id, found in blocks(text).items():
        if bake_id in ids:
            text = text.replace(found, "", 1)
    return text


def on_base(text: str, name: str, digest: str, found: Sequence[str]) -> str:
    """Return the recipe of another base model, with these blocks in the place of all others."""
    header = _OF_BASE.sub("", remove(text, blocks(text)))
    named = dump({"base_model": name, "base_digest": digest})
    edited, count = _BASE_LINE.subn(lambda _: named, header)
    if count != 1:
        raise state.damaged(RECIPE, f"it has {count} lines `base_model: …` instead of one")
    for each in found:
        edited = append(edited, each)
    return edited


def base_of(text: str) -> tuple[str, str] | None:
    """Return name and digest of the base that a recipe was moved to; None: it never was."""
    header = outside(text)
    if "\nbase_digest:" not in header:
        return None
    data = reader.load(header, aliases=True)
    return str(data["base_model"]), str(data["base_digest"])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@lru_cache(maxsize=8192)
def _head(block: str) -> RecordedBake | str:
    """Return what the head of a block says, or what is wrong with it."""
    try:
        data = _quick_head(block) or reader.load(block.split(_DETAILS, 1)[0])[0]
        parent, digest, blob = data["parent"], str(data["digest"]), str(data["input"])
        if not (_HEX.fullmatch(digest) and _HEX.fullmatch(blob)):  # both are handed on, to git too
            return f"digest and input cannot be {digest!r} and {blob!r}"
        return RecordedBake(
            name=str(data["bake_name"]),
            models=tuple(ModelRef.parse(name) for name in data["model_names"]),
            parent=ModelRef.parse(parent["model"]) if parent else None,
            digest=digest,
            input_blob=blob,
            block=block,
        )
    except ConfigError as error:
        return error.message
    except hosted.UNREADABLE as error:
        return " ".join(str(error).split())


def _quick_head(block: str) -> dict[str, Any] | None:
    """Return what YAML would read in a head that is written as ours are; None for any other."""
    match = _HEAD.match(block)
    if match is None or not block.startswith(_DETAILS, match.end()):
        return None
    name, listed, parent, digest, blob = match.groups()
    models = [_unquoted(word) for word in _LISTED.findall(listed)]
    if len(models) != listed.count("\n"):
        return None
    return {
        "bake_name": _unquoted(name),
        "model_names": models,
        "parent": {"model": _unquoted(parent)} if parent else None,
        "digest": _unquoted(digest),
        "input": _unquoted(blob),
    }


def _unquoted(word: str) -> str:
    return word[1:-1] if word[0] in "\"'" else word


_NEXT_KEY = re.compile(r"\n {0,6}[^ \n]")


@lru_cache(maxsize=8192)
def _part(text: str, key: str) -> Any:
    try:
        value = reader.load(text)[key]
    except hosted.UNREADABLE as error:
        raise state.damaged("recipe.yml", " ".join(str(error).split())) from error
    if found := recorded.part_problem(key, value):
        raise state.damaged("recipe.yml", found)
    return value


@lru_cache(maxsize=8192)
def _rank(block: str) -> int:
    start = block.find("\n      training:")
    end = _NEXT_KEY.search(block, start + 1)
    if start < 0:
        raise state.damaged(RECIPE, "a bake has no `training`")
    return int(_part(block[start : end.start() if end else None], "training")["r"])


@lru_cache(maxsize=512)
def _whole(block: str) -> Mapping[str, Any] | str:
    try:
        (data,) = reader.load(block)
    except hosted.UNREADABLE as error:
        return " ".join(str(error).split())
    if not isinstance(data, dict):
        return "it is not a mapping"
    return recorded.problem(data) or data


def _item(block: str, name: str) -> Mapping[str, Any]:
    data = _whole(block)
    if isinstance(data, str):
        raise state.damaged("recipe.yml", f"bake {name}: {data}")
    return data
