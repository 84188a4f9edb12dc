"""Who answers in the columns of a chat: a bake beside what it was baked on, or any two models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakery import variables
from bakery.errors import BakeryError
from bakery.records import Prompt
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.schema.model_names import BASE
from bakery.strengths import Side, side_of
from bakery.web import shown

MOST_STRENGTH = 1.5
"""The end of the slider; a name may say more."""


@dataclass(frozen=True, slots=True)
class Column:
    """One model that answers. `model` is what the API is asked for, without its strength."""

    role: str
    title: str
    model: str
    told: str
    """What it is, in a few words."""
    first: Sequence[Mapping[str, Any]] = ()
    """The messages that still have to be sent to it."""
    strength: float | None = None
    """Where its slider stands; None: it has none."""
    others: Mapping[str, str] | None = None
    """What may stand in its place: names for the API, and what they are called."""


def sides(repo: ModelRepo, name: str) -> list[Column]:
    """Return a bake's parent, its prompted parent and itself; of the base itself alone."""
    bake, side = named(repo, name)
    if bake is None:
        return [Column("base", shown.base(repo.state().base.name), BASE, "the base model")]
    teacher, student = _prompts(bake)
    first = list(student.messages)
    parent = bake.parent
    titles = {str(parent): parent.given_name} if parent else {}
    others = {**titles, BASE: shown.base(repo.state().base.name)}
    own = str(bake.model)
    strength = 1.0 if side is None or side.strength is None else side.strength
    below = parent.given_name if parent else shown.base(repo.state().base.name)
    columns = [
        Column(
            "parent" if parent else "base",
            below,
            str(parent) if parent else BASE,
            "without the prompt",
            first,
            others=others if parent else None,
        ),
        Column("baked", bake.base_name, own, "the prompt is in its weights", first, strength),
    ]
    if teacher != student and bake.part("teacher") is None:
        columns.insert(1, Column("prompted", below, f"{own}@prompted", "behind the prompt"))
    return columns


def both(repo: ModelRepo, names: Sequence[str]) -> list[Column]:
    """Return two models as they are named."""
    found = []
    for role, name in zip(("old", "new"), names, strict=True):
        bake, side = named(repo, name)
        is_prompted = side is not None and side.is_prompted
        first = [] if bake is None or is_prompted else list(_prompts(bake)[1].messages)
        suffix = side.suffix if side is not None else ""
        model = f"{bake.model}{suffix}" if bake else BASE
        title = f"{bake.base_name}{suffix}" if bake else shown.base(repo.state().base.name)
        found.append(Column(role, title, model, str(bake.model) if bake else "the base", first))
    return found


def named(repo: ModelRepo, name: str) -> tuple[RecordedBake | None, Side | None]:
    """Return the bake that a name means (None: the base), and what it says beside the bake."""
    try:
        return repo.find_model(name), None
    except BakeryError:
        side = side_of(name)
        if side is None:
            raise
        return repo.find_model(side.name), side


def _prompts(bake: RecordedBake) -> tuple[Prompt, Prompt]:
    """Return the prompt that was baked in, and the one that still has to be sent."""
    taught = [variables.sides(target) for target in bake.data["targets"]]
    return next(((old, new) for old, new in taught if old != new), (Prompt(), Prompt()))
