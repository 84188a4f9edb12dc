"""`type: hardcoded`: the questions are written in input.yml."""

from __future__ import annotations

from typing import Any

WRITER = "input.yml"


def questions(generator: dict[str, Any]) -> list[str]:
    """Return the questions, as written."""
    return list(generator["questions"])
