"""`NAME[@prompted][:STRENGTH]`: what the name of a model says beside the model."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 10_000.0
"""The most of a bake, or of its opposite, that may be asked for: half precision ends at 65,504."""

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


def doubled(side: Side) -> tuple[str, str] | None:
    """Return why a name says too much beside the model, and what may be meant; None: it does not.

    Of `yoda@prompted:0.5:1` the side is `:1`, and its name has a side of its own.
    """
    inner = side_of(side.name)
    if inner is None:
        return None
    if inner.strength is not None and side.strength is not None:
        prompted = "@prompted" * inner.is_prompted
        ways = [f"{inner.name}{prompted}:{one:g}" for one in (inner.strength, side.strength)]
        return f"two strengths, {inner.strength:g} and {side.strength:g}", " or ".join(ways)
    if inner.is_prompted:
        return "@prompted twice", f"{inner.name}@prompted"
    return "@prompted behind a strength", f"{inner.name}@prompted{inner.suffix}"


def side_of(text: str) -> Side | None:
    """Return what a name says beside the model; None: nothing, it is a name alone."""
    found = _SIDE.fullmatch(text)
    if found is None or not (found["prompted"] or found["strength"]):
        return None
    strength = None if found["strength"] is None else float(found["strength"])
    return Side(found["name"], bool(found["prompted"]), strength)
