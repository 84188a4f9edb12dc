"""What tells whether a model of a repository holds: a part of `Repo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bakery.paths import expanded
from bakery.repo.model_repo import ModelRepo

if TYPE_CHECKING:
    from bakery.app.report import Report


class Telling:
    """Says of a model what is known of it."""

    _repo: ModelRepo

    def report(
        self, name: str = "parent", out: str | Path | None = None, *, force: bool = False
    ) -> Report:
        """Return what the report of a model says; with `out`, write it there as one HTML file."""
        from bakery.app import report

        found = report.report(self._repo, name)
        if out is not None:
            from bakery.ui.report import files

            files.write(found, expanded(out), force=force)
        return found
