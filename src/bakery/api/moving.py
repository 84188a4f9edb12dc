"""Bakes brought to where they were not made: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from bakery.app import adopt
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.app.adopt import Adopted
    from bakery.app.rebase import Rebased


class Moving:
    """Makes a model the current one, and a chain anew on another base."""

    _repo: ModelRepo
    _told: Callable[[], AbstractContextManager[Reporter]]

    def adopt(self, name: str, *, base_model: str | None = None) -> Adopted:
        """Make another model the current one, in one commit."""
        with self._told() as reporter:
            return adopt.adopt(self._repo, name, base_model=base_model, reporter=reporter)

    def rebase(self, *, base_model: str, allow: Collection[str] = ()) -> Rebased:
        """Make the bakes of this branch anew on another base model, in one commit.

        `git("rebase", ...)` is git's.
        """
        from bakery.app import rebase

        with self._told() as reporter:
            made = rebase.rebase(self._repo, base_model, allow=allow, reporter=reporter)
        if made.refused is not None:
            raise made.refused
        return made
