"""Where an answer comes from: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from bakery.errors import ConfigError
from bakery.repo.look import diff as recipes
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.app.bisect import Bisected
    from bakery.app.blame import Blame
    from bakery.app.diff import Differed


class Tracing:
    """Compares models, and finds the bake behind an answer."""

    _repo: ModelRepo
    _told: Callable[[], AbstractContextManager[Reporter]]

    def diff(self, one: str, other: str | None = None) -> recipes.Comparison:
        """Compare the recipes of two models; of one: with the model that it was baked on."""
        found = recipes.diff(self._repo, [one] if other is None else [one, other])
        assert found is not None  # surely models
        return found

    def compare(
        self, one: str, other: str | None = None, *, weights: bool = True, behaviour: bool = True
    ) -> Differed:
        """Compare two models by their weights and their answers, too (`bgit diff --weights`)."""
        from bakery.app import diff

        words = [one] if other is None else [one, other]
        with self._told() as reporter:
            return diff.diff(
                self._repo, words, weights=weights, behaviour=behaviour, reporter=reporter
            )

    def blame(
        self, questions: str | Sequence[str], model: str = "parent", *,
        system: str | None = None, max_tokens: int | None = None,
    ) -> Blame:  # fmt: skip
        """Leave out each bake of a model in turn, and say which is behind its answers.

        `git("blame", ...)` is git's.
        """
        from bakery.app import blame

        asked = [questions] if isinstance(questions, str) else list(questions)
        if not asked:
            raise ConfigError("there is no question to ask")
        with self._told() as reporter:
            return blame.blame(
                self._repo, model, asked, system=system, max_tokens=max_tokens, reporter=reporter
            )

    def bisect(
        self, is_good: Callable[[str], bool], *, good: str = "base", bad: str = "parent"
    ) -> Bisected:
        """Find the first bake of a chain that is not good, as told of a model's full name.

        `git("bisect", ...)` is git's.
        """
        from bakery.app import bisect
        from bakery.app.bisect import Link, Tried

        def test(link: Link) -> Tried:
            return Tried(link.name, "good" if is_good(link.name) else "bad", "is_good")

        return bisect.bisect(bisect.chain(self._repo, good, bad), test)
