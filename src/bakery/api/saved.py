"""Folders of bakes: the one to go on from, and the one that a bake is saved in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.errors import ConfigError, ModelError, StageError
from bakery.identity import BaseModelId, file_digest
from bakery.records import ModelRef
from bakery.store import drafts, results

OWNER, REPO = "python", "bakes"
"""What a bake that no repository has is called by, in front of its own name."""

_FILES = (results.RESULT, results.METRICS)


@dataclass(frozen=True, slots=True)
class Older:
    """The bake that another one goes on from."""

    ref: ModelRef
    folder: Path
    rank: int
    """Of its adapter, with those of its own parents."""


def older(folder: Path, base: BaseModelId) -> Older:
    """Return the bake in a folder; ModelError where it is damaged, or does not fit this base.

    A bake is known by its id, so its weights have to be those that its bake.json names.
    """
    from bakery.engine.models import adapter_check, adapter_folder

    if not folder.is_dir():
        raise ModelError(f"parent: there is no folder {folder}")
    beside = folder / results.RESULT
    if beside.is_file() and not (folder / results.WEIGHTS).is_file():
        folder = folder / str(_record(beside)["step"])
    records = [place / results.RESULT for place in (folder, folder.parent)]
    record = next((path for path in records if path.is_file()), None)
    if record is None or not (folder / adapter_folder.SLICES).is_file():
        raise ModelError(
            f"{folder} is not the folder of a bake: it needs {results.RESULT} and "
            f"{adapter_folder.SLICES}",
            hint="Give a Bake, its `adapter`, or a folder that `save` or `bgit download` wrote.",
        )
    found = _record(record)
    on = found["base"]
    ends = on.get("beside") or base.beside  # records of old do not say it
    if (on["digest"], ends) != (base.digest, base.beside or ends):
        raise ModelError(
            f"{folder} was baked on {on.get('name')}, whose content is not that of "
            f"{base.name} as it is given",
            hint="A bake fits only the base it was made on, given in the same way: by its name or "
            "folder, or loaded.",
        )
    last = adapter_folder.slices(folder)[-1]
    own = last.bake_id
    if own != found["bake_id"] or not _has_weights(folder, found):
        raise ModelError(f"the weights in {folder} are not those that {record} names")
    chain, whole = [(own, found["training"]["r"])], found.get("parent") is None
    hint = "Take the bake anew: from Bake.save, or with `bgit download`."
    adapter_check.check(folder, chain, whole=whole, hint=hint)
    step = int(folder.name) if folder.name.isdecimal() else int(found["step"])
    return Older(ModelRef(OWNER, REPO, f"bake_{own}", step), folder, last.stop)


def check_free(target: Path, bake_id: str) -> None:
    """Refuse, before anything is made, a folder that a bake cannot be saved in."""
    if is_there(target, bake_id):
        return
    near = target.absolute().parent
    while not near.exists() and near != near.parent:
        near = near.parent
    if not near.is_dir() or not os.access(near, os.W_OK):
        raise ConfigError(f"out: nothing can be written to {near}")


def is_there(target: Path, bake_id: str) -> bool:
    """Tell whether a folder holds a whole bake; refuse one that holds anything else."""
    if target.is_symlink():
        raise ConfigError(f"{target} is a link: give the folder itself")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    found: Mapping[str, Any] = {}
    if (target / results.RESULT).is_file():
        found = _record(target / results.RESULT)
    if found.get("bake_id") == bake_id and _has_weights(target, found):
        return True
    holds = f"the bake {found['bake_id']}" if found else "something else"
    if found.get("bake_id") == bake_id:
        holds = "this bake with other weights"
    raise ConfigError(f"{target} holds {holds}: it is not overwritten", hint="Give a new folder.")


def save(bake: Path, adapter: Path, target: Path) -> None:
    """Copy an adapter, with the figures of its bake, to a folder that is not there or empty."""
    from bakery.engine.models import adapter_check

    adapter_check.check(adapter, None)
    try:
        with drafts.draft(target.parent, target.name) as folder:
            made = folder / "made"
            shutil.copytree(adapter, made)
            for name in _FILES:
                shutil.copy2(bake / name, made / name)
            if target.is_dir():
                target.rmdir()  # empty, or it would have been refused
            made.rename(target)
    except OSError as error:
        raise StageError(
            f"{target} cannot be written: {error.strerror or error}",
            hint=f"The bake itself is kept in {adapter}.",
        ) from error


def _record(path: Path) -> Mapping[str, Any]:
    """Return what bake.json says; ModelError where that is not what a bake writes."""
    found = results.seen(path)
    if (
        found is None
        or not isinstance(found.get("base"), dict)
        or not isinstance(found["base"].get("digest"), str)
        or not isinstance(found.get("step"), int)
        or not isinstance(found.get("training"), dict)
        or not json_file.is_whole(found["training"].get("r"), 1)
        or not all(isinstance(found.get(key), str) for key in ("bake_id", "digest"))
    ):
        raise ModelError(f"{path} is damaged: it is not what a bake writes")
    return found


def _has_weights(folder: Path, record: Mapping[str, Any]) -> bool:
    """Tell whether the weights of a folder are the last ones of a bake, or of a step it kept."""
    weights, kept = folder / results.WEIGHTS, record.get("checkpoints") or []
    named = {record["digest"], *(one.get("digest") for one in kept if isinstance(one, dict))}
    return weights.is_file() and file_digest(weights) in named
