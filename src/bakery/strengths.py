"""`NAME[@prompted][:STRENGTH]`: what the name of a model says beside the model."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIDE = re.compile(
    r"(?P<name>.+?)(?P<prompted>@prompted)?(?::(?P<strength>[+-]?(?:\d+\.?\d*|\.\d+)))?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Side:
    """`NAME[@prompted][:STRENGTH]`: a model behind its bake's prompt, or with more or less of it.

    `strength` None: nobody said one.
    """

    name: str
    is_prompted: bool
    strength: float | None

    @property
    def suffix(self) -> str:
        """What stands behind the name."""
        strength = "" if self.strength is None else f":{self.strength:g}"
        return "@prompted" * self.is_prompted + strength


def side_of(text: str) -> Side | None:
    """Return what a name says beside the model; None: nothing, it is a name alone."""
    found = _SIDE.fullmatch(text)
    if found is None or not (found["prompted"] or found["strength"]):
        return None
    strength = None if found["strength"] is None else float(found["strength"])
    return Side(found["name"], bool(found["prompted"]), strength)
