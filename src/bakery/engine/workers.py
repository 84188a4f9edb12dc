"""One process among those that share a run, and what it needs of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    send: Callable[[Mapping[str, Any]], None] = lambda tensors: None
    """Gives every process what the first has in some tensors, in place."""
    local_rank: int = 0
    local_count: int = 1
    """The same among those of this machine."""
    in_step: bool = False
    """Whether the base is shared out, so that all have to run it at the same time."""

    def of_first(self, value: Value) -> Value:
        """Return what the first process has: it decides for all."""
        found: Value = self.gather([value])[0]
        return found

    def same(self, make: Callable[[], Value]) -> Value:
        """Return what the first process makes; the others wait for it, or run the base with it."""
        return self.of_first(make() if self.does_all else None)  # type: ignore[return-value]

    @property
    def does_all(self) -> bool:
        """Whether it does what is done once: the first does, and who has to keep in step."""
        return self.rank == 0 or self.in_step


ALONE = Worker()
