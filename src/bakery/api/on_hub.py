"""Models on the Hugging Face Hub: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, get_args

from bakery.app.model_card import Part
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.app.publish import Published


class OnHub:
    """Publishes models; `Repo.adopt` goes on from them."""

    _repo: ModelRepo
    _told: Callable[[], AbstractContextManager[Reporter]]

    def publish(
        self, address: str, name: str = "parent", *, public: bool = False, merged: bool = False,
        gguf: bool = False, dtype: str = "auto", rank: int | None = None,
        without: Collection[str] = (), licence: str | None = None, replace: bool = False,
        dry_run: bool = False,
    ) -> Published:  # fmt: skip
        """Make a repository of the Hub from a model, in one commit: private, unless it is `public`.

        `address` is hf://owner/name. Nobody is asked: `dry_run` sends nothing, and `.what` says
        what it would be (`.what.card` is the card). What else lies there is only replaced with
        `replace`. `without` leaves out "examples", or the "prompt" with them.
        """
        from bakery.app import download, publish

        if wrong := set(without) - set(get_args(Part)):
            raise ConfigError(
                f"{', '.join(sorted(wrong))} is no part that can be left out",
                hint=f"There are: {', '.join(get_args(Part))}.",
            )
        form = download.Wanted(None, "gguf" if gguf else "folder", merged, dtype, rank=rank)
        parts: frozenset[Part] = frozenset(part for part in get_args(Part) if part in without)
        wanted = publish.Wanted(form, public, parts, licence, dry_run)
        with self._told() as reporter:
            return publish.publish(
                self._repo, name, address, wanted, replace=replace, reporter=reporter
            )
