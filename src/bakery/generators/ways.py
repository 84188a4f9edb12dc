"""Which way a model of this machine gives usable questions: lists, or speaking as the user.

Tried once for each generator, in one short round, and kept with its questions: a run that goes on
does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bakery.backends.base import Turn
from bakery.records import Prompt

LISTED, LISTS, LIST_TOKENS = 6, 2, 48
"""Messages that a list is asked for, lists, and tokens of each: enough to see what it will be."""

SPOKEN = 8
"""Turns as a user that are tried."""

FEWEST_LISTED, LISTED_SHARE = 4, 0.8
"""Lists are taken where so many of their messages are usable, and this share of them."""

MOST_SCENES = 4
"""Orders of a prompt's example turns that users are sampled behind."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How many of the messages that were written in one way are usable."""

    usable: int
    of: int

    def __str__(self) -> str:
        return f"{self.usable} of {self.of}"


@dataclass(frozen=True, slots=True)
class Way:
    """How a model writes its questions: as lists, or as a user behind the prompt or none."""

    lists: bool
    behind: bool = False
    alone: bool = False

    def as_data(self) -> dict[str, Any]:
        """Return what is kept."""
        if self.lists:
            return {"way": "lists"}
        return {"way": "user", "behind": self.behind, "alone": self.alone}

    @staticmethod
    def kept(origin: Mapping[str, Any]) -> Way | None:
        """Return what an earlier run kept; None: nothing yet."""
        if "way" not in origin:
            return None
        return Way(origin["way"] == "lists", bool(origin.get("behind")), bool(origin.get("alone")))


def chosen(lists: Tried, behind: Tried, alone: Tried) -> Way:
    """Return the way to go: lists where they are as they should be, else as a user.

    Where nothing was usable behind the prompt, or without it, only the other is gone on with.
    """
    if lists.usable >= FEWEST_LISTED and lists.usable >= LISTED_SHARE * lists.of:
        return Way(lists=True)
    both = Way(lists=False, behind=behind.of > 0, alone=alone.of > 0)
    if both.behind and both.alone:
        if not alone.usable and behind.usable * 2 >= behind.of:
            return replace(both, alone=False)
        if not behind.usable and alone.usable * 2 >= alone.of:
            return replace(both, behind=False)
    return both


def turns(key: str, count: int, way: Way, teacher: Prompt) -> list[Turn]:
    """Return the turns of a round: behind the prompt, its example turns in each order, and none."""
    behind = scenes(teacher) if way.behind else []
    found = []
    for i in range(count):
        is_behind = bool(behind) and (not way.alone or i % 2 == 0)
        nth = i // 2 if way.alone else i
        found.append(Turn(f"{key}/{i}", behind[nth % len(behind)] if is_behind else Prompt()))
    return found


def scenes(teacher: Prompt) -> list[Prompt]:
    """Return a prompt with its example turns in several orders.

    What is said next follows from the last of them: other orders give questions on other things.
    """
    first = next((i for i, m in enumerate(teacher.messages) if m["role"] == "user"), None)
    roles = [m["role"] for m in teacher.messages[first:]] if first is not None else []
    if first is None or roles != ["user", "assistant"] * (len(roles) // 2):
        return [teacher]
    head, rest = teacher.messages[:first], teacher.messages[first:]
    pairs: Sequence[Any] = [rest[i : i + 2] for i in range(0, len(rest), 2)]
    orders = [(*pairs[n:], *pairs[:n]) for n in range(min(len(pairs), MOST_SCENES))]
    return [
        replace(teacher, messages=(*head, *(m for pair in order for m in pair))) for order in orders
    ]
