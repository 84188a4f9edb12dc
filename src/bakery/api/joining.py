"""What brings branches' weights together, and takes bakes out of a chain: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.app.cherry_pick import Picked
    from bakery.app.leave_out import LeftOut
    from bakery.app.merge import Merged


class Joining:
    """Adds slices of other bakes to the current model, or leaves one out."""

    _repo: ModelRepo
    _told: Callable[[], AbstractContextManager[Reporter]]

    def merge(
        self,
        branch: str,
        *,
        how: Literal["auto", "cat", "svd", "ties", "distill"] = "auto",
        wins: Literal["ours", "theirs"] | None = None,
        force: bool = False,
        rank: int | None = None,
        allow: Collection[str] = (),
    ) -> Merged:
        """Merge a branch and its weights; `is_refused` where the sides contradict each other."""
        from bakery.app import merge

        with self._told() as reporter:
            return merge.merge(
                self._repo, branch, how=how, wins=wins, force=force, rank=rank, allow=allow,
                reporter=reporter,
            )  # fmt: skip

    def cherry_pick(
        self,
        name: str,
        *,
        how: Literal["auto", "cat"] = "auto",
        force: bool = False,
        allow: Collection[str] = (),
    ) -> Picked:
        """Put one bake of another branch on the current model."""
        from bakery.app import cherry_pick

        with self._told() as reporter:
            return cherry_pick.cherry_pick(
                self._repo, name, how=how, force=force, allow=allow, reporter=reporter
            )

    def leave_out(self, name: str) -> LeftOut:
        """Take one bake out of the current chain, and leave those baked on it (`revert --only`)."""
        from bakery.app import leave_out

        with self._told() as reporter:
            return leave_out.leave_out(self._repo, name, reporter=reporter)
