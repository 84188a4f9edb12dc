"""What keeps a repository's store whole, and small: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.api import asked
from bakery.api.told import told
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.app import fsck as fsck_
    from bakery.app.gc import Collected


class Keeping:
    """Checks and tidies the store of a repository."""

    _repo: ModelRepo
    _progress: bool

    def fsck(self, *, whole: bool = True, dangling: bool = True) -> fsck_.Checked:
        """Check the store against all recipes and itself; not `whole`: only heads and sizes.

        `git("fsck")` checks git's objects.
        """
        from bakery.app import fsck

        with self._told() as reporter:
            return fsck.fsck(self._repo, whole=whole, dangling=dangling, reporter=reporter)

    def gc(
        self, *, prune: str | None = None, paid: bool = False,
        beside: Collection[str | Path] = (), dry_run: bool = False,
    ) -> Collected:  # fmt: skip
        """Take out of the store what nothing needs and nobody touched since `prune`, a git date.

        `paid`: what an endpoint wrote, too; `beside` are other repositories of the same store.
        `git("gc")` tidies git's objects.
        """
        from bakery.app import gc

        also = [asked.path(place, "beside") for place in beside]
        with self._told() as reporter:
            return gc.gc(
                self._repo, prune=prune, paid=paid, also=also, dry_run=dry_run, reporter=reporter
            )

    def _told(self) -> AbstractContextManager[Reporter]:
        return told(self._progress)
