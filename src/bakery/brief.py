"""A text in one line that there is room for."""

from __future__ import annotations

from collections.abc import Sequence


def brief(text: str, room: int) -> str:
    """Return a text in one line of at most `room` characters; what is left out is an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: room - 1]}…"


SHOWN = 20
"""Problems that are told one by one: who has more has made one mistake many times."""


def first(problems: Sequence[str], source: object) -> str:
    """Return the first problems of a file, one a line, and how many more there are."""
    left = len(problems) - SHOWN
    more = [f"{source}: and {left} more problems"] if left > 0 else []
    return "\n".join([*problems[:SHOWN], *more])
