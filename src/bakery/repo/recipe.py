"""recipe.yml: how every bake that led to this commit was made.

One block of text per bake, appended at the end and never written anew: merges and reverts
then move whole blocks. A block opens and closes with a comment that names its bake, so blocks
are found without reading YAML, and a lineage of many reads only the head of each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from bakery.errors import ConfigError
from bakery.records import ModelRef
from bakery.repo import state

SCHEMA = 1

_OPEN = "    # >>> bake "
_CLOSE = "    # <<< bake "
_ID = re.compile(r"[0-9a-f]{16}")

# A block's head: what a lineage shows. What follows is read only when asked for.
_DETAILS = "\n      steps:"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        return self.name[-16:]

    @property
    def base_name(self) -> str:
        """The name that input.yml gave."""
        return self.name[:-17]

    @property
    def model(self) -> ModelRef:
        """The model that the bake gave: the last, where it kept several steps."""
        return self.models[-1]

    @property
    def data(self) -> Mapping[str, Any]:
        """The whole block: steps, targets with their prompts, loss, card, seconds, versions."""
        return _item(self.block, self.name)


def new(base_model: str) -> str:
    """Return the text of a recipe without bakes."""
    return f"""\
# Every bake that led to this commit, in order: how to make the model again.
# bgit writes this file: one block per bake, at the end.

schema: {SCHEMA}

{_dump({"base_model": base_model})}

resources:
  bakes:
"""


def block(result: Mapping[str, Any], *, model: ModelRef, input_blob: str) -> str:
    """Return the text that records a bake; `result` is its bake.json."""
    targets = [dict(target) for target in result["targets"]]
    data = {
        "bake_name": model.bake,
        "model_names": [str(model)],
        "parent": result.get("parent"),
        "digest": result["digest"],
        "input": input_blob,
        "steps": _steps(model, targets),
        "targets": targets,
        **{key: result[key] for key in _RESULTS if key in result},
    }
    lines = _dump([data]).rstrip("\n").split("\n")
    indented = "".join(f"    {line}\n" if line else "\n" for line in lines)
    return f"{_OPEN}{model.bake_id}\n{indented}{_CLOSE}{model.bake_id}\n"


_RESULTS = ("base", "training", "loss", "card", "seconds", "started", "finished", "versions",
            "notes")  # fmt: skip


def _steps(model: ModelRef, targets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = [target["name"] for target in targets]
    stim = [{"target": t["name"], "output_count": t["stimuli"], "writers": t["writers"]}
            for t in targets]  # fmt: skip
    rollout = [{"target": t["name"], "trajectory_count": t["trajectories"]} for t in targets]
    return [
        {"step": 1, "operation": "add_prompt",
         "prompts": [f"{name}/{kind}" for name in names for kind in ("teacher", "student")]},
        {"step": 2, "operation": "run_stim", "outputs": stim},
        {"step": 3, "operation": "run_rollout", "outputs": rollout},
        {"step": 4, "operation": "bake", "bake_name": model.bake, "model_names": [str(model)]},
    ]  # fmt: skip


def parse(text: str, source: str = "recipe.yml") -> list[RecordedBake]:
    """Return the bakes of a recipe in order; RepoError says what to do where it does not parse."""
    header, found = _split(text, source)
    try:
        data = yaml.load(header, Loader=_LOADER)
        state.refuse_newer(data["schema"], source)
        bakes = data["resources"]["bakes"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise state.damaged(source, " ".join(str(error).split())) from error
    if bakes:
        raise state.damaged(source, "it names bakes outside the blocks that bgit wrote")
    return [read(bake_id, text, source) for bake_id, text in found]


def blocks(text: str, source: str = "recipe.yml") -> dict[str, str]:
    """Return the block of every bake by its id, in order, without reading YAML."""
    return dict(_split(text, source)[1])


def read(bake_id: str, block: str, source: str = "recipe.yml") -> RecordedBake:
    """Return the bake that a block records."""
    bake = _head(block)
    if isinstance(bake, str):
        raise state.damaged(source, f"bake {bake_id}: {bake}")
    if bake.id != bake_id or bake.model.bake != bake.name:
        raise state.damaged(source, f"the block of bake {bake_id} holds {bake.name}")
    return bake


def append(text: str, block: str) -> str:
    """Return the recipe with one more block at its end."""
    return (text if text.endswith("\n") else text + "\n") + block


def remove(text: str, ids: Collection[str]) -> str:
    """Return the recipe without the blocks of some bakes, all else as it is."""
    for bake_id, found in blocks(text).items():
        if bake_id in ids:
            text = text.replace(found, "", 1)
    return text


def _split(text: str, source: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what stands outside of the blocks, and the blocks."""
    state.refuse_conflict(text, source)
    text = "\n" + text.replace("\r\n", "\n")
    outside, found, at = [], [], 0
    seen: set[str] = set()
    start = text.find("\n" + _OPEN)
    while start >= 0:
        named = start + 1 + len(_OPEN)
        bake_id = text[named : named + 16]
        closing = f"\n{_CLOSE}{bake_id}\n"
        end = text.find(closing, start)
        following = text.find("\n" + _OPEN, start + 1)
        if end < 0 or 0 <= following < end or not _ID.fullmatch(bake_id) or bake_id in seen:
            line = text.count("\n", 0, start) + 1
            raise state.damaged(
                f"{source}:{line}", f"the block of bake {bake_id} is not whole, or there twice"
            )
        end += len(closing) - 1
        outside.append(text[at:start])
        found.append((bake_id, text[start + 1 : end + 1]))
        seen.add(bake_id)
        at, start = end, following
    outside.append(text[at:])
    return "\n".join(outside), found


@lru_cache(maxsize=8192)
def _head(block: str) -> RecordedBake | str:
    """Return what the head of a block says, or what is wrong with it."""
    try:
        (data,) = yaml.load(block.split(_DETAILS, 1)[0], Loader=_LOADER)
        parent = data["parent"]
        return RecordedBake(
            name=str(data["bake_name"]),
            models=tuple(ModelRef.parse(name) for name in data["model_names"]),
            parent=ModelRef.parse(parent["model"]) if parent else None,
            digest=str(data["digest"]),
            input_blob=str(data["input"]),
            block=block,
        )
    except ConfigError as error:
        return error.message
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        return " ".join(str(error).split())


@lru_cache(maxsize=512)
def _whole(block: str) -> Mapping[str, Any] | str:
    try:
        (data,) = yaml.load(block, Loader=_LOADER)
    except (yaml.YAMLError, TypeError, ValueError) as error:
        return " ".join(str(error).split())
    return data if isinstance(data, dict) else "it is no mapping"


def _item(block: str, name: str) -> Mapping[str, Any]:
    data = _whole(block)
    if isinstance(data, str):
        raise state.damaged("recipe.yml", f"bake {name}: {data}")
    return data


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, no anchors, every text quoted that could be read as else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


# Text that every YAML version reads as itself without quotes, or as one of true, false and null.
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[./-][A-Za-z0-9_]+)*")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
# Several lines that may stand as they are: nothing a reader would change, no blanks at line ends.
_LINES = re.compile(r"(?! )[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    text = text.encode("utf-8", "replace").decode()  # half an emoji cannot be written
    style: str | None = '"'
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        style = None
    elif text.strip() and _LINES.fullmatch(text) and text.strip() == text.removesuffix("\n"):
        style = "'" if "\n" not in text else '"' if " \n" in text else "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _dump(data: Any) -> str:
    text = yaml.dump(
        _plain(data),
        Dumper=_Dumper,
        allow_unicode=True,
        sort_keys=False,
        width=1 << 30,
        default_flow_style=False,
    )
    return text.rstrip("\n")


def _plain(data: Any) -> Any:
    """Return mappings as dicts and sequences as lists."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [_plain(value) for value in data]
    return data
