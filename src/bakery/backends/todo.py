"""Which requests of many are to be made yet, and which an endpoint refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from threading import Lock

from bakery.backends.base import RefusedError


class ToDo:
    """Which requests are to be made yet, and which were refused; many threads take from it.

    Where the first are refused, a setting may be wrong, or only they are. Others are then taken
    from the end, as what lies side by side was written by one generator.
    """

    def __init__(self, keys: Iterable[str], *, enough: int) -> None:
        """`enough` refusals without an answer are taken to mean all."""
        self.refused: dict[str, RefusedError] = {}
        self.gave_up = False
        self._keys, self._enough, self._lock = deque(keys), enough, Lock()
        self._stopped = self._any_answer = False

    def next(self) -> str | None:
        """Take what is asked next; None: nothing is."""
        with self._lock:
            if self._stopped or not self._keys:
                return None
            in_doubt = self.refused and not self._any_answer
            return self._keys.pop() if in_doubt else self._keys.popleft()

    def answered(self) -> None:
        """Know that an endpoint answers."""
        with self._lock:
            self._any_answer = True

    def refuse(self, key: str, error: RefusedError) -> None:
        """Keep a refusal, and ask no more where all seem to be refused."""
        with self._lock:
            self.refused[key] = error
            if not self._any_answer and len(self.refused) >= self._enough and self._keys:
                self._stopped = self.gave_up = True

    def stop(self) -> None:
        """Ask no more."""
        with self._lock:
            self._stopped = True
