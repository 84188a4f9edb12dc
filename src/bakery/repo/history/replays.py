"""What a bake keeps that was made again elsewhere: on another base, or on another parent.

Its input.yml stays the one that was written. Where that names bakes and targets of the chain that
it was first a part of, those that took their place are meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bakery.repo.files.recipe import RecordedBake

KEY = "replayed"
"""What a block of recipe.yml calls it."""

_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{16})(/[0-9]+)?(?![0-9a-f])")
"""How the name of a bake or target ends, and that of a model."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Which bake it is made from, and what the names in its input.yml mean here."""

    bake: str
    """The name of the bake that was replayed."""
    bases: tuple[str, ...] = ()
    """The names of the base models that it was on before, the first one first."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """What took whose place: ids by ids, and `<id>/<step>` where a model is meant."""

    def as_data(self) -> dict[str, Any]:
        """Return what a block says; what there is none of is left out."""
        data = {"bake": self.bake, "bases": list(self.bases), "ids": dict(self.ids)}
        return {key: value for key, value in data.items() if value}


def of(bake: RecordedBake) -> Replay | None:
    """Return what a bake was replayed from; None: it was made as it was first written."""
    data = bake.part(KEY)
    if data is None:
        return None
    return Replay(data["bake"], tuple(data.get("bases", ())), data.get("ids", {}))


def renamed(text: str, ids: Mapping[str, str]) -> str:
    """Return a text in which every name means what took its place."""

    def instead(match: re.Match[str]) -> str:
        whole, alone, step = match[0], match[1], match[2] or ""
        return ids.get(whole) or ids.get(alone, alone) + step

    return _ID.sub(instead, text) if ids else text


def used(text: str, ids: Mapping[str, str]) -> dict[str, str]:
    """Return what of `ids` the names in a text need."""
    found = {word for match in _ID.finditer(text) for word in (match[0], match[1])}
    return {old: new for old, new in ids.items() if old in found and old != new}


def then(first: Mapping[str, str], later: Mapping[str, str]) -> dict[str, str]:
    """Return what two replays, one after the other, come to."""
    return {**later, **{old: later.get(new, new) for old, new in first.items()}}
