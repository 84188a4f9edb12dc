"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

from bakery.errors import ConfigError


def expanded(path: str | Path) -> Path:
    """Return a path whose `~` is somebody's home; ConfigError where nobody has that name."""
    if "\0" in str(path):
        raise ConfigError(f"{str(path)!r} is no path: it holds a NUL character")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        who = str(path).partition("/")[0]
        raise ConfigError(
            f"{path} is no path: there is no home of {who} on this machine",
            hint="Write the whole path, from / on.",
        ) from error
