"""One process among those that share a run, and what it needs of the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Worker:
    """The process with number `rank` of `count`."""

    rank: int = 0
    count: int = 1
    gather: Callable[[list[Any]], list[Any]] = list
    """Collects one list from the lists of all processes."""
    wait: Callable[[], None] = lambda: None
    """Returns once all processes have come as far."""
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Mixed precision as in the steps to come, for models that are run outside them."""

    def of_first(self, value: Value) -> Value:
        """Return what the first process has: it decides for all."""
        found: Value = self.gather([value])[0]
        return found


ALONE = Worker()
