"""Whether what lies beside a bake's weights, and what a training left, is as it must be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.json_file import DamagedError
from bakery.repo.files.names import INPUT
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.store import findings
from bakery.store.findings import Finding
from bakery.store.results import EVALS, LEFT_BY_TRAINING, METRICS

_TRAINING = "a training left it behind: `bgit gc` removes it"


def problems(
    repo: ModelRepo, folder: Path, bake: RecordedBake | None, name: str, *, whole: bool
) -> Iterator[Finding]:
    """Yield what is wrong with files of a bake that only people read."""
    path = folder / INPUT
    if bake is not None and path.is_file() and not _is_blob(repo, path, bake.input_blob):
        yield Finding("foreign", path, name, "it is not the input.yml that recipe.yml names",
                      f"delete it: `bgit show {bake.name} --input` shows that")  # fmt: skip
    metrics = folder / METRICS
    if whole and metrics.is_file():
        try:
            for number, line in json_file.lines(metrics, most=json_file.LARGEST):
                try:
                    json_file.as_object(json_file.parse(line, strict=False))
                except DamagedError as error:
                    raise DamagedError(f"line {number}: {error}") from error
        except (DamagedError, OSError) as error:
            yield Finding("damaged", metrics, name, str(error),
                          "delete it: only `bgit metrics` reads it")  # fmt: skip
    if wrong := findings.object_problem(folder / EVALS) if (folder / EVALS).is_file() else None:
        yield Finding(wrong[0], folder / EVALS, name, wrong[1],
                      "delete it: `bgit eval` measures again")  # fmt: skip
    for left in LEFT_BY_TRAINING:
        if (folder / left).exists():
            yield Finding("orphaned", folder / left, name, "its training is over", _TRAINING)


def result_problem(said: Mapping[str, Any], bake: RecordedBake) -> str | None:
    """Return what a bake.json says otherwise than the recipe; None: nothing that shapes a model.

    Times and names may differ: a training that was repeated writes its own.
    """
    for key, part in _SHAPING.items():
        found, recorded = said.get(key), bake.data.get(key)
        if part is not None:
            found, recorded = _parts(found, part), _parts(recorded, part)
        if found != recorded:
            return f"its {key} is not what recipe.yml says"
    return None


_SHAPING = {"base": "digest", "parent": "digest", "training": None, "targets": "id"}
"""What shapes a model, of what bake.json and recipe.yml both say; of some, a part of it."""


def _parts(found: Any, part: str) -> Any:
    if isinstance(found, list):
        return [_parts(each, part) for each in found]
    return found.get(part) if isinstance(found, dict) else found


def checkpoints(folder: Path) -> Iterator[Finding]:
    """Yield what an interrupted training cannot go on from."""
    from bakery.engine.bases import heads

    for path in sorted(folder.glob("checkpoints/**/*.safetensors")):
        try:
            heads.read(path)
        except (DamagedError, OSError) as error:
            yield Finding(findings.weights_problem(path), path, f"bake {folder.name}", str(error),
                          f"delete {path.parent}: the one before it is taken")  # fmt: skip


def _is_blob(repo: ModelRepo, path: Path, blob: str) -> bool:
    """Tell whether a file is the text of a blob, which git keeps with its own line ends."""
    data = path.read_bytes()
    kind = "sha256" if len(blob) == 64 else "sha1"
    if hashlib.new(kind, b"blob %d\0" % len(data) + data).hexdigest() == blob:
        return True
    found = repo.git.blob(blob)
    return found is None or found.text.encode() == data
