"""Texts that a person gives with a command: as they stand, or in a file."""

from __future__ import annotations

import sys
from pathlib import Path

from bakery.errors import ConfigError
from bakery.settings import prefix


def system_prompt(given: str | None) -> str | None:
    """Return a system prompt as it was given: text, or @ and the file that holds it."""
    if given is None or not given.startswith("@"):
        return given or None
    try:
        return prefix.read_text(Path(given[1:])).strip() or None
    except ConfigError as error:
        raise ConfigError(f"--system {given}: {error.message}", hint=error.hint) from error


def questions(path: Path) -> list[str]:
    """Return the lines of a file that say something; those of stdin where it is `-`."""
    text = sys.stdin.read() if str(path) == "-" else prefix.read_text(path)
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise ConfigError(f"{path} holds no question", hint="Write one in each line.")
    return found
