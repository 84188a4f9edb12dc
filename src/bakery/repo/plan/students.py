"""Which base model a file names as its student. Files are hashed; no tensor library is loaded."""

from __future__ import annotations

import functools
from pathlib import Path

from bakery import schema
from bakery.engine.bases import bases
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId


def find(spec: schema.InputSpec, root: Path, base: BaseModelId) -> BaseModelId | None:
    """Return the base that a bake is to be made on in place of the branch's; None: none is named.

    A path counts from `root`. The branch's own `base` is returned where the model is that.
    """
    named = spec.bake.model.student_model_path if spec.bake else None
    if named is None:
        return None
    if named == base.name:
        return base
    at, place = spec.places.at("BAKE", "model", "student_model_path"), root / named
    name, revision = (str(place), "") if bases.is_here(place) else bases.split(named)
    is_path = named.startswith((".", "/", "~")) or named.endswith(bases.GGUF)
    if is_path and not bases.is_here(name):
        raise ConfigError(
            f"{at}: BAKE.model.student_model_path: there is no model {named}",
            hint="Give a folder with config.json, a .gguf file, or a hub id like Qwen/Qwen3-0.6B; "
            "paths count from input.yml.",
        )
    try:
        found = _identified(name, revision, _state(Path(name)))
    except ModelError as error:
        raise ConfigError(
            f"{at}: BAKE.model.student_model_path: {error.message}", hint=error.hint
        ) from error
    return base if found.digest == base.digest else found


@functools.lru_cache(maxsize=8)
def _identified(name: str, revision: str, state: object) -> BaseModelId:
    """Hash a model once, as long as its files are what they were."""
    return bases.identify(name, revision)


def _state(place: Path) -> object:
    """Return what tells the files of a model from what they become."""
    files = sorted(place.iterdir()) if place.is_dir() else [place] if place.is_file() else []
    seen = [(file.name, file.stat()) for file in files if file.is_file()]
    return tuple((name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in seen)
