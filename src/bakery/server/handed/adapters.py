"""Models as adapters that an engine can read: those in the store, and copies at other strengths.

What a copy is called says which bits it has: the digest of the weights as they were baked, and the
strength of their last bake. It is made when somebody asks for it.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from bakery.app.serve import Served


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter in a folder. `key` is its name in the engine."""

    key: str
    folder: Path
    rank: int


class Adapters:
    """Adapters of one base; copies lie in `room`, which is this process's own."""

    def __init__(self, room: Path, base: str) -> None:
        self._room, self._base = room, base
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[str, int, int]] = {}

    def of(self, served: Served) -> Adapter | None:
        """Return the adapter of a model, written where it is missing; None: it is the base.

        ModelError where its weights are damaged, or do more than add B·A to linear layers.
        """
        if served.folder is None:
            return None
        with self._lock:
            digest, older, rank = self._seen(served.folder)
            if served.strength == 1:
                return Adapter(digest, served.folder, rank)
            if served.strength == 0 and not older:
                return None
            scale_R = [1.0] * older + [served.strength] * (rank - older)
            key = f"{digest}-{served.strength!r}"
            folder = self._room / key
            if not folder.is_dir():
                from bakery.engine.models import scaled  # the first that needs tensors

                draft = self._room / "draft"
                scaled.write(served.folder, draft, scale_R, base=self._base)
                draft.rename(folder)
            return Adapter(key, folder, rank if served.strength else older)

    def drop(self, key: str) -> None:
        """Take a copy away that the engine does not know any more."""
        with self._lock:
            shutil.rmtree(self._room / key, ignore_errors=True)

    def _seen(self, folder: Path) -> tuple[str, int, int]:
        """Return an adapter's digest, how many ranks are of earlier bakes, and how many it has."""
        from bakery.engine.models import adapter_check, adapter_folder, adapter_head

        if folder not in self._read:
            adapter_check.check_any(folder)
            rank = adapter_head.read(folder / adapter_folder.WEIGHTS).rank
            has_slices = (folder / adapter_folder.SLICES).is_file()
            older = adapter_folder.slices(folder)[-1].start if has_slices else 0
            self._read[folder] = adapter_folder.digest(folder)[:16], older, rank
        return self._read[folder]
