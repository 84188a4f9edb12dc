"""Who is told how far things are: the terminal, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
