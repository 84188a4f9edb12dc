"""Models as adapters that an engine can read: those in the store, and copies at other strengths.

What a copy is called says which bits it has: the digest of the weights as they were baked, and the
strength of their last bake. It is made when somebody asks for it.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
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
        self.room, self._base = room, base
        self._lock = threading.Lock()
        self._parts: dict[Path, list[Adapter]] = {}
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
            key = f"{digest}-{served.strength!r}"
            if not (self.room / key).is_dir():
                scale_R = [1.0] * older + [served.strength] * (rank - older)
                self._write(served.folder, scale_R).rename(self.room / key)
            return Adapter(key, self.room / key, rank if served.strength else older)

    def slices(self, served: Served) -> list[tuple[Adapter, float]]:
        """Return each bake's own part of a model, oldest first, and how much of it there is.

        Parts of the same bits are one adapter, whichever model they are of.
        """
        if served.folder is None:
            return []
        with self._lock:
            if served.folder not in self._parts:
                self._parts[served.folder] = self._cut(served.folder)
            *older, own = self._parts[served.folder]
        return [*((one, 1.0) for one in older), (own, served.strength)]

    def _cut(self, source: Path) -> list[Adapter]:
        from bakery.engine.models import adapter_folder

        _, _, rank = self._seen(source)
        has_slices = (source / adapter_folder.SLICES).is_file()
        parts = adapter_folder.slices(source) if has_slices else []
        found = []
        for start, stop in [(part.start, part.stop) for part in parts] or [(0, rank)]:
            draft = self._write(source, [float(start <= at < stop) for at in range(rank)])
            key = adapter_folder.digest(draft)[:16]
            if (self.room / key).is_dir():
                shutil.rmtree(draft)
            else:
                draft.rename(self.room / key)
            found.append(Adapter(key, self.room / key, stop - start))
        return found

    def _write(self, source: Path, scale_R: Sequence[float]) -> Path:
        from bakery.engine.models import scaled  # the first that needs tensors

        draft = self.room / "draft"
        scaled.write(source, draft, scale_R, base=self._base)
        return draft

    def drop(self, key: str) -> None:
        """Take a copy away that the engine does not know any more."""
        with self._lock:
            shutil.rmtree(self.room / key, ignore_errors=True)

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
