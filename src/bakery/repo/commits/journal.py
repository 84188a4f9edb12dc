"""What is under way between a result and its commit, so that a kill loses and doubles nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from bakery import json_file
from bakery.errors import RepoError
from bakery.records import write_atomic

SCHEMA = 1


Action = Literal["record", "revert", "adopt", "rebase"]
MOVES: tuple[Action, ...] = ("adopt", "rebase")
"""Those that make another model the current one."""


@dataclass(frozen=True, slots=True)
class Journal:
    """One commit yet to be made: a bake recorded, taken back, or made the current model.

    It is made when, on `branch`, the recipe has (for a revert: has no longer) the bake, or, for
    an adoption and for a chain on another base, .bread names the model.
    """

    action: Action
    bake_id: str
    repository: str
    """git's common folder: a store may serve several repositories."""
    branch: str
    head: str
    """The commit before: what index and folder hold until they are refreshed."""
    block: str = ""
    launched: str = ""
    message: str = ""
    model: str = ""
    """The model that becomes the current one; "" is the base model."""

    @property
    def key(self) -> str:
        """What its file is called: one bake may wait for several branches."""
        where = f"{self.repository}\0{self.branch}".encode()
        return f"{self.bake_id}-{hashlib.sha256(where).hexdigest()[:8]}"

    def is_made(self, blocks: Mapping[str, str], current: str) -> bool:
        """Tell from the blocks of a recipe, and the current model, whether the commit exists."""
        if self.action in MOVES:
            return current == self.model
        return (self.bake_id in blocks) == (self.action == "record")

    def write(self, path: Path) -> None:
        """Put the journal on disk, whole."""
        write_atomic(path, json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read what `write` wrote."""
        try:
            data = json_file.load_object(path)
            if data.pop("schema") != SCHEMA:
                raise ValueError("it is of another version of bgit")
            return _checked(cls(**data))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RepoError(
                f"{path} cannot be read: {error}",
                hint="Delete it; `bgit run bake` records the bake.",
            ) from error


def _checked(journal: Journal) -> Journal:
    """Return a journal of which every entry is what `write` puts there."""
    if journal.action not in get_args(Action):
        raise ValueError("its action is none of bgit's")
    for key, value in asdict(journal).items():
        if not isinstance(value, str):
            raise TypeError(f"`{key}` is not text")
    return journal
