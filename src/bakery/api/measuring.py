"""What tells how a model of a repository answers: a part of `Repo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bakery.api import asked
from bakery.api.keeping import Keeping

if TYPE_CHECKING:
    from bakery.app.testing import Results


class Measuring(Keeping):
    """Tests the models of a repository."""

    def test(self, name: str = "parent", *, file: str | Path | None = None) -> Results:
        """Ask a model the questions of the tests.yml of HEAD, or of `file`, and check its answers.

        `passed` of what it returns is False where it fails a check that the prompted one passes.
        """
        from bakery.app import test

        place = None if file is None else asked.path(file, "file")
        with self._told() as reporter:
            return test.test(self._repo, name, file=place, reporter=reporter)
