"""What tells how a model of a repository answers: a part of `Repo`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.api import asked
from bakery.api.told import told
from bakery.repo.model_repo import ModelRepo

if TYPE_CHECKING:
    from bakery.app.testing import Results
    from bakery.evals.report import EvalReport


class Measuring:
    """Measures models against their prompts, and tests them."""

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

    def test(self, name: str = "parent", *, file: str | Path | None = None) -> Results:
        """Ask a model the questions of the tests.yml of HEAD, or of `file`, and check its answers.

        `passed` of what it returns is False where it fails a check that the prompted one passes.
        """
        from bakery.app import test

        place = None if file is None else asked.path(file, "file")
        with told(self._progress) as reporter:
            return test.test(self._repo, name, file=place, reporter=reporter)


def _name(source: str | Path | None) -> str | None:
    return None if source is None else str(source)
