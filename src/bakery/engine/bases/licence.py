"""What a base says of its own licence, where its files are on this machine; nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import yaml
from huggingface_hub import try_to_load_from_cache

from bakery.engine.bases import bases
from bakery.engine.bases.gguf import header
from bakery.errors import BakeryError
from bakery.identity import BaseModelId
from bakery.yaml import reader

README = "README.md"

HEAD = 65_536
"""Characters of a README in which what a hub reads of it stands."""


def said(base: BaseModelId) -> str | None:
    """Return the licence that a base names, as a hub calls it; None: its files do not say."""
    try:
        if bases.is_here(base.name) or base.name in (bases.EMBEDDED, *bases.ALIASES):
            place, _ = bases.locate(base.name)
            return _of_gguf(place) if place.is_file() else _of_readme(place / README)
        if base.name.endswith(bases.GGUF):
            return None
        cached = try_to_load_from_cache(base.name, README, revision=base.revision or None)
        return _of_readme(Path(cached)) if isinstance(cached, str) else None
    except (BakeryError, OSError, ValueError):  # a name or a file of no use: then it is not known
        return None


def _of_gguf(path: Path) -> str | None:
    found = header.read(path).metadata.get("general.license")
    return found if isinstance(found, str) else None


def _of_readme(path: Path) -> str | None:
    """Return the licence of the block that a README of a hub begins with."""
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        opened, _, rest = file.read(HEAD).partition("---\n")
    block, closed, _ = rest.partition("\n---")
    if opened.strip() or not closed:
        return None
    try:
        data = reader.load(block)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError):
        return None
    found = data.get("license") if isinstance(data, dict) else None
    return found if isinstance(found, str) else None
