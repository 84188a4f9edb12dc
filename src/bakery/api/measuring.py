"""What is measured of a repository's models: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.api.told import told
from bakery.repo.model_repo import ModelRepo

if TYPE_CHECKING:
    from bakery.evals.report import EvalReport


class Measuring:
    """Measures models against their prompts."""

    _repo: ModelRepo
    _progress: bool

    def eval(
        self, name: str = "parent", *, suite: str = "quick", only: Collection[str] = (),
        against: str | None = None, limit: int | None = None,
        neutral: str | Path | None = None, ifeval: str | Path | None = None,
        canary: str | None = None, again: bool = False,
    ) -> EvalReport:  # fmt: skip
        """Measure a model, and `against` another, as `bgit eval` does; docs/eval.md explains it.

        What was measured before in the same way is read from the store, unless `again`. `neutral`
        and `ifeval` are files or hub ids. Raises ConfigError where nothing was baked into it.
        """
        from bakery.app import eval as app

        wanted = app.Wanted(suite, tuple(only), limit, _name(neutral), _name(ifeval), canary, again)
        with told(self._progress) as reporter:
            return app.evaluate(self._repo, name, wanted, against=against, reporter=reporter)


def _name(source: str | Path | None) -> str | None:
    return None if source is None else str(source)
