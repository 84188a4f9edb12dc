"""Who is told how far things are: the terminal, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bakery.app import stored
from bakery.records import ModelRef
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet, Reporter


@contextmanager
def told(progress: bool) -> Iterator[Reporter]:
    """Yield a reporter that shows bars and notes, or one that shows nothing."""
    if not progress:
        yield Quiet()
        return
    from bakery.ui.progress import reporter

    with reporter() as shown:
        yield shown


def fetch_missing(progress: bool) -> None:
    """Have weights that are asked for and not here fetched from the remote of weights."""

    def bring(repo: ModelRepo, model: ModelRef) -> bool:
        from bakery.app import pull

        if not progress:
            return pull.bring(repo, model, Quiet())
        from bakery.ui.progress import any_reporter

        with any_reporter() as shown:
            return pull.bring(repo, model, shown)

    stored.FETCHING.bring = bring
