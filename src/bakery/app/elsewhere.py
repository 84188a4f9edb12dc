"""What lies in another clone, its store, an export or an archive, and may be what is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.app import unpacking
from bakery.errors import ModelError, StageError
from bakery.identity import file_digest
from bakery.records import ModelRef
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.git import Git
from bakery.store import results
from bakery.store.results import WEIGHTS


@dataclass(frozen=True, slots=True)
class Need:
    """One folder of the store that a recipe names, by the digest of its main file."""

    kind: str
    """weights, questions or answers"""
    name: str
    """What people call it: a model or a target."""
    key: str
    """What its folder elsewhere is called: the id of a bake, of questions or of answers."""
    digest: str
    folder: Path
    main: str
    """The file that the digest is of."""
    bake: RecordedBake
    """The bake that needs it."""
    model: ModelRef | None = None
    """None: it is not a model."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the recipe says of questions or answers: so must done.json, whatever it says there."""


@dataclass(slots=True)
class Found:
    """A file of the source that may be what is needed, and what it was found to be."""

    path: Path
    claims: set[str] = field(default_factory=set)
    """The ids that its folder says it has; empty: it says none."""
    digest: str = ""

    def checked(self) -> str:
        """Return its digest, read once."""
        self.digest = self.digest or file_digest(self.path)
        return self.digest


def root(source: Path, unpacked: Path) -> Path:
    """Return the folder to look in; an archive is unpacked first."""
    if source.is_file():
        unpacking.unpack(source, unpacked)
        return unpacked
    if not source.is_dir():
        raise StageError(
            f"there is no {source}", hint="Give another clone, its store, an export or a .tar.gz."
        )
    if (source / ".git").exists():
        store = Git.find(source).common_dir / "bakery"
        if not store.is_dir():
            raise StageError(f"the clone {source} has no store, so there is nothing to take")
        return store
    return source


def scan(root: Path) -> dict[str, list[Found]]:
    """Return the files of a folder that may be needed, by name."""
    found: dict[str, list[Found]] = {name: [] for name in unpacking.MAIN_FILES}
    for folder, _, names in os.walk(root, followlinks=False):
        for name in found.keys() & set(names):
            path = Path(folder) / name
            if path.is_symlink():
                raise ModelError(
                    f"{path} is a symbolic link, which is not followed",
                    hint="Copy what it points to in its place, or name that folder.",
                )
            found[name].append(Found(path, _claims(path)))
    return found


def _claims(path: Path) -> set[str]:
    """Return the ids that a file may be of, as the names around it and its slices say."""
    if path.name != WEIGHTS:
        return {path.parent.name} if _is_id(path.parent.name) else set()
    claims = {path.parent.parent.name} if _is_id(path.parent.parent.name) else set()
    try:
        rows = json_file.load_list(path.parent / "slices.json", most=json_file.MB)
        claims.add(str(rows[-1]["bake_id"]))
    except (OSError, ValueError, LookupError, TypeError):
        pass  # Not of ours, or not whole: the digest decides alone.
    return claims


def _is_id(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def match(need: Need, found: Mapping[str, list[Found]]) -> Path | None:
    """Return the file that is what is needed; ModelError where one claims to be and is not."""
    wrong: list[Found] = []
    for candidate in found[need.main]:
        if candidate.claims and need.key not in candidate.claims:
            continue
        if candidate.checked() == need.digest:
            return candidate.path
        step = need.model is None or candidate.path.parent.name == str(need.model.step)
        if candidate.claims and step and _is_complete(candidate.path):
            wrong.append(candidate)
    if wrong:
        raise ModelError(
            f"{wrong[0].path} is not what recipe.yml records for {need.name}: "
            f"sha256 {wrong[0].checked()[:16]} instead of {need.digest[:16]}",
            hint="It was changed or damaged. Nothing was taken.",
        )
    return None


def _is_complete(path: Path) -> bool:
    """Tell whether a stage that wrote this was done; rows of one that was not are no damage."""
    return path.name == WEIGHTS or results.is_done(path.parent)
