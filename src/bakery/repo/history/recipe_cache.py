"""What the recipes of a long history hold, kept beside git's own data, so that it is read once.

Keyed by blob, so nothing in it is ever out of date. Whatever is wrong with it, it is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bakery import json_file
from bakery.records import write_atomic
from bakery.repo.git import Git

SCHEMA = 1

LEAST_BYTES = 4_000_000
"""Recipes of less in all are read faster than this is worth."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe.yml taken apart. Its header is kept only where another tool's history is in it."""

    header: str
    blocks: tuple[str, ...]


def load(git: Git) -> dict[str, Recipe]:
    """Return the recipes that are kept, by blob."""
    try:
        data = json_file.load_object(_path(git), most=1 << 30, strict=False)
        blocks = data["blocks"] if data["schema"] == SCHEMA else []
        return {
            blob: Recipe(header, tuple(blocks[number] for number in numbers))
            for blob, (header, numbers) in data["recipes"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def save(git: Git, recipes: Mapping[str, Recipe]) -> None:
    """Keep these recipes and no others; where that cannot be done, nothing is kept."""
    numbers: dict[str, int] = {}
    rows = {
        blob: [recipe.header, [numbers.setdefault(text, len(numbers)) for text in recipe.blocks]]
        for blob, recipe in recipes.items()
    }
    text = json.dumps({"schema": SCHEMA, "blocks": list(numbers), "recipes": rows})
    with suppress(OSError):
        write_atomic(_path(git), text)


def _path(git: Git) -> Path:
    return git.common_dir / "bakery" / "recipes.json"
