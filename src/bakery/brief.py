"""A text in one line that there is room for."""

from __future__ import annotations


def brief(text: str, room: int) -> str:
    """Return a text in one line of at most `room` characters; what is left out is an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: room - 1]}…"
