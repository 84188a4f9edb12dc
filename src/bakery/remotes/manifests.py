"""What a remote says that it has: one manifest a model, written when all that it names is there.

    objects/<first 2>/<sha256>            bytes, which never change
    models/<id of a bake>/<step>.json     a model: its weights, and what lies beside them
    data/stim/<id>.json                   questions
    data/target/<id>.json                 answers

A manifest is a stranger's. A file in it is one of a few names, so no path of it leads anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakery import json_file
from bakery.json_file import DamagedError
from bakery.store.results import (
    ASKED,
    DONE,
    EVALS,
    FAILED,
    METRICS,
    PROBES,
    REJECTED,
    REQUEST,
    STIMULI,
    TESTED,
    TRAJECTORIES,
    WEIGHTS,
)

SCHEMA = 1

OBJECTS, MODELS, DATA = "objects", "models", "data"

MOST_BYTES = json_file.MB
"""Of a manifest: a dozen files take a hundredth of it."""

LARGEST = 1 << 44
"""Bytes of an object: 16 TB. Whatever says more is no file."""

BESIDE = (METRICS, ASKED, PROBES, EVALS, TESTED)
"""What lies beside weights and travels with them."""

BESIDE_ROWS = (REQUEST, REJECTED, FAILED, DONE)
"""The same of questions and answers."""

_SHA = re.compile(r"[0-9a-f]{64}")
_ID = "(?P<key>[0-9a-f]{16})"
_PLACES = {
    WEIGHTS: re.compile(rf"models/{_ID}/(?P<step>[0-9]{{1,9}})\.json"),
    STIMULI: re.compile(rf"data/stim/{_ID}\.json"),
    TRAJECTORIES: re.compile(rf"data/target/{_ID}\.json"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as a manifest names it."""

    name: str
    sha256: str
    size: int

    @property
    def object(self) -> str:
        """Where its bytes lie in a remote."""
        return object_of(self.sha256)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a remote has of a model, of questions or of answers."""

    place: str
    """Where it lies in the remote."""
    name: str
    """What people call it: a model, or a target."""
    digest: str
    """Of the file that a recipe names."""
    files: tuple[Entry, ...]

    @property
    def main(self) -> str:
        """The file that the digest is of."""
        return main_of(self.place)

    @property
    def bytes(self) -> int:
        """How much it takes in all."""
        return sum(entry.size for entry in self.files)

    def text(self) -> str:
        """Return it as it is written."""
        files = [{"path": e.name, "sha256": e.sha256, "size": e.size} for e in self.files]
        key = "model" if self.main == WEIGHTS else "target"
        said = {"schema": SCHEMA, key: self.name, "digest": self.digest, "files": files}
        return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def model_place(bake_id: str, step: int) -> str:
    """Return where the manifest of a model lies."""
    return f"{MODELS}/{bake_id}/{step}.json"


def rows_place(main: str, key: str) -> str:
    """Return where the manifest of questions or answers lies."""
    return f"{DATA}/{'stim' if main == STIMULI else 'target'}/{key}.json"


def object_of(sha256: str) -> str:
    """Return where the bytes of a digest lie."""
    return f"{OBJECTS}/{sha256[:2]}/{sha256}"


def digest_in(place: str) -> str | None:
    """Return the digest that the place of an object is called by; None: it is no object's."""
    sha256 = place.rpartition("/")[2]
    return sha256 if _SHA.fullmatch(sha256) and place == object_of(sha256) else None


def is_place(place: str) -> bool:
    """Tell whether a manifest may lie there."""
    return any(shape.fullmatch(place) for shape in _PLACES.values())


def main_of(place: str) -> str:
    """Return the file that a manifest in a place is about."""
    return next(main for main, shape in _PLACES.items() if shape.fullmatch(place))


def allowed(main: str) -> tuple[str, ...]:
    """Return the names that files beside a main one may have, and its own."""
    return (main, *(BESIDE if main == WEIGHTS else BESIDE_ROWS))


def parse(place: str, data: bytes) -> Manifest:
    """Return what a manifest says; DamagedError where it is none that is written here."""
    if not is_place(place):
        raise DamagedError("no manifest is called so")
    said = json_file.as_object(json_file.parse(data))
    number = said.get("schema")
    if not json_file.is_whole(number, 1):
        raise DamagedError(f"its schema is {json_file.kind(number)}")
    if number > SCHEMA:
        raise DamagedError(f"it has schema {number}, of a newer bgit: this one reads {SCHEMA}")
    main = main_of(place)
    name, digest = said.get("model" if main == WEIGHTS else "target"), said.get("digest")
    if not isinstance(name, str) or not 0 < len(name) <= 1000 or not name.isprintable():
        raise DamagedError("it does not say whose it is")
    if not isinstance(digest, str) or not _SHA.fullmatch(digest):
        raise DamagedError("its digest is no SHA-256")
    files = tuple(_entry(row, allowed(main)) for row in _rows(said))
    names = [entry.name for entry in files]
    if len(set(names)) < len(names):
        raise DamagedError("it names a file twice")
    if [entry.sha256 for entry in files if entry.name == main] != [digest]:
        raise DamagedError(f"its {main} is not what its digest says")
    return Manifest(place, name, digest, files)


def _rows(said: Mapping[str, Any]) -> list[Any]:
    rows = said.get("files")
    if not isinstance(rows, list) or not 0 < len(rows) <= len(BESIDE) + 1:
        raise DamagedError("it has no list of its files")
    return rows


def _entry(row: Any, names: tuple[str, ...]) -> Entry:
    if not isinstance(row, dict):
        raise DamagedError("a file of it is no object")
    name, sha256, size = row.get("path"), row.get("sha256"), row.get("size")
    if name not in names:
        raise DamagedError(f"it names a file {str(name)[:60]!r}, which no such manifest has")
    if not isinstance(sha256, str) or not _SHA.fullmatch(sha256):
        raise DamagedError(f"the digest of {name} is no SHA-256")
    if not json_file.is_whole(size) or size > LARGEST:
        raise DamagedError(f"the size of {name} is none that a file has")
    return Entry(name, sha256, size)
