"""Parameters that say something: in a script, an empty one is a variable that was never set.

As a path it would be the folder that one stands in, and as a text nothing at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Place(click.Path):
    """A file or folder, as a Path."""

    def __init__(self, *, dir_okay: bool = True) -> None:
        """Take any path; without `dir_okay`, no folder."""
        super().__init__(dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; refuse an empty one."""
        if value == "":
            self.fail("a path is not empty: leave it out, or name one", param, ctx)
        return super().convert(value, param, ctx)


class _Said(click.types.StringParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text as it is; refuse one of blanks."""
        if not str(value).strip():
            self.fail("nothing is said there: leave it out, or say what is meant", param, ctx)
        return value


SAID = _Said()
