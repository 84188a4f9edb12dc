"""What many branches say of their models, kept beside git's own data, so that it is read once.

Keyed by blob, so nothing in it is ever out of date. Whatever is wrong with it, it is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bakery import json_file
from bakery.records import write_atomic
from bakery.repo.git import Git

SCHEMA = 2

LEAST_BYTES = 4_000_000
"""Files of less in all are read faster than this is worth."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe.yml taken apart. Its header is kept only where another tool's history is in it."""

    header: str
    blocks: Sequence[int]
    """Numbers of the blocks of `Kept`, in order."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was read: by blob, each distinct block once."""

    blocks: list[str] = field(default_factory=list)
    recipes: dict[str, Recipe] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    """The text of each .bread."""


def load(git: Git) -> Kept:
    """Return what is kept."""
    try:
        data = json_file.load_object(_path(git), most=1 << 30, strict=False)
        if data["schema"] != SCHEMA:
            return Kept()
        blocks, states = data["blocks"], data["states"]
        if not all(isinstance(text, str) for text in (*blocks, *states.values())):
            return Kept()
        recipes = {}
        for blob, (header, numbers) in data["recipes"].items():
            if numbers and not 0 <= min(numbers) <= max(numbers) < len(blocks):
                return Kept()
            recipes[blob] = Recipe(str(header), numbers)
        return Kept(blocks, recipes, states)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Kept()


def save(git: Git, kept: Kept) -> None:
    """Keep this and nothing else; where that cannot be done, nothing is kept."""
    used = sorted({number for found in kept.recipes.values() for number in found.blocks})
    numbers = {before: now for now, before in enumerate(used)}
    data = {
        "schema": SCHEMA,
        "blocks": [kept.blocks[number] for number in used],
        "recipes": {
            blob: [found.header, [numbers[number] for number in found.blocks]]
            for blob, found in kept.recipes.items()
        },
        "states": kept.states,
    }
    with suppress(OSError):
        write_atomic(_path(git), json.dumps(data, ensure_ascii=False))


def _path(git: Git) -> Path:
    return git.common_dir / "bakery" / "recipes.json"
