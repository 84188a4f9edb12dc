"""Weights that travel between clones: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.repo.commits import publishing
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.app.pull import Pulled
    from bakery.app.push import Pushed
    from bakery.app.remote_check import Checked
    from bakery.app.remote_gc import Tidied
    from bakery.app.weights import WeightsRemote


class Sharing:
    """Sends weights to the remote of weights, and fetches them from there."""

    _repo: ModelRepo
    _told: Callable[[], AbstractContextManager[Reporter]]

    def weights_remote(
        self, url: str | Path | None = None, *, remove: bool = False
    ) -> WeightsRemote:
        """Return the remote of weights; `url` sets and proposes it, `remove` forgets it.

        file:///folder, s3://bucket/prefix, gs://bucket/prefix or hf://owner/name, without keys.
        """
        from bakery.app import weights

        with self._told() as reporter:
            if remove:
                return weights.remove(self._repo, reporter)
            if url is None:
                return weights.remote(self._repo)
            return weights.set_remote(self._repo, str(url), reporter)

    def push(self, *words: str, weights_only: bool = False, data: bool = False) -> Pushed:
        """Send the weights that the remote lacks, then run `git push` with these words.

        `data`: questions and answers, too. Without a remote of weights, only git pushes, as
        `git("push", ...)` always does.
        """
        from bakery.app import push, weights

        sent = push.NOTHING
        if weights_only or data or weights.remote(self._repo).enabled:
            publishing.refuse_made_up(self._repo.git, words)
            with self._told() as reporter:
                bakes = push.pushed_bakes(
                    self._repo, words, self._repo.root, alone=weights_only, reporter=reporter
                )
                sent = push.push(self._repo, bakes, data=data, reporter=reporter)
        if not weights_only:
            self._repo.git.run("push", *words)
        return sent

    def pull(
        self, *words: str, weights_only: bool = False, everything: bool = False, data: bool = False
    ) -> Pulled:
        """Run `git pull` with these words, then fetch the current model's weights.

        `everything`: of all models of this branch; `data`: questions and answers, too. Without a
        remote of weights, only git pulls, as `git("pull", ...)` always does.
        """
        from bakery.app import pull, weights

        if not weights_only:
            self._repo.git.run("pull", *words)
        if not (weights_only or everything or data or weights.remote(self._repo).enabled):
            return pull.NOTHING
        with self._told() as reporter:
            return pull.pull(self._repo, everything=everything, data=data, reporter=reporter)

    def fsck_remote(self, *, deep: bool = False) -> Checked:
        """Check the manifests and objects of the remote of weights; `deep`: every byte of it."""
        from bakery.app import remote_check

        with self._told() as reporter:
            return remote_check.check(self._repo, deep=deep, reporter=reporter)

    def gc_remote(self, *, grace_days: float = 14, dry_run: bool = False) -> Tidied:
        """Delete what no manifest of the remote of weights names, once it is old enough."""
        from bakery.app import remote_gc

        with self._told() as reporter:
            return remote_gc.gc(
                self._repo, grace_days=grace_days, dry_run=dry_run, reporter=reporter
            )
