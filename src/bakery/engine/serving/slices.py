"""Every bake's slice of ranks, held once: loaded when a row wants it, leaving by use.

A composed adapter holds its parent's ranks bit for bit, so the bakes of a chain share slices. What
a slice is called says which bits it has: a bake's id and their digest.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bakery.engine.models import adapter_check
from bakery.engine.models.adapter_folder import CONFIG, SLICES, WEIGHTS, Slice, slices
from bakery.engine.models.models import BaseModel
from bakery.engine.serving import factors
from bakery.engine.serving.factors import Factors
from bakery.errors import ModelError

_Stamp = tuple[int, int, int] | None
"""By what a file is known again: its time, its size, its number. None: it is not there."""


@dataclass(slots=True, eq=False)
class Held:
    """A slice in memory: what it adds to each layer that it changes.

    Its matrices are views into those that are stacked of all slices, while it is among them.
    """

    key: str
    factors: dict[str, Factors]

    @property
    def rank(self) -> int:
        """How many ranks it has; in a layer where it has fewer, the last are nothing."""
        return max((len(a) for a, _ in self.factors.values()), default=0)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a slice lies: a part of a composed adapter, or (None) a whole one of somebody else."""

    folder: Path
    part: Slice | None
    size: int


class Shelf:
    """Slices of one base by key. `most_bytes` is what they may take together.

    Any thread may call `of` and `ready`; all else is for the one that decodes.
    """

    def __init__(self, base: BaseModel, *, most_bytes: int) -> None:
        self._base, self._most = base, most_bytes
        self._sources: dict[str, _Source] = {}
        self._read: dict[tuple[Path | _Stamp, ...], tuple[str, ...]] = {}
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._in_use: frozenset[str] = frozenset()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._firsts: dict[str, str] = {}

    @property
    def size(self) -> int:
        """How many bytes are held now."""
        with self._lock:
            return self._size(self._held)

    def of(self, folder: Path) -> tuple[str, ...]:
        """Return the keys of an adapter's slices, oldest first; one of others is one slice.

        Its files are read once, for the digests, and nothing of them is kept. ModelError where it
        is damaged, or does more than add B·A to linear layers.
        """
        place = folder, *(_stamp(folder / name) for name in (WEIGHTS, CONFIG, SLICES))
        if place not in self._read:
            adapter_check.check_any(folder)
            parts = slices(folder) if (folder / SLICES).is_file() else [None]
            self._read[place] = tuple(self._named(folder, part) for part in parts)
        first, *_ = found_keys = self._read[place]
        for key in found_keys:
            self._firsts.setdefault(key, self._firsts.get(first, first))
        return found_keys

    def by_lineage(self, keys: Collection[str]) -> list[Held]:
        """Return slices that are in memory, those of a lineage beside each other."""
        ordered = sorted(keys, key=lambda key: (self._firsts[key], key))
        return [self._held[key] for key in ordered]

    def ready(self, folder: Path) -> tuple[str, ...]:
        """Return the keys of an adapter's slices, and read them as far as there is room now.

        The thread that decodes has no file to read then, while which all rows would wait.
        """
        keys = self.of(folder)
        for key in keys:
            if self._touched(key):
                continue
            with self._reading:
                if self._touched(key):
                    continue  # somebody else has read it by now
                if not self._has_room(key) or not self._put(key, self._loaded(key)):
                    break  # it is read where a row takes it
        return keys

    def rank(self, key: str) -> int:
        """Return how many ranks a slice that is in memory has."""
        return self._held[key].rank

    def check(self, keys: Collection[str]) -> None:
        """Refuse slices that `of` has not named, or that can never be in memory together."""
        if unknown := [key for key in keys if key not in self._sources]:
            raise ModelError(f"no adapter that was read has a slice {unknown[0]!r}")
        if (size := self._size(keys)) > self._most:
            raise ModelError(
                f"what the model adds to its base takes {size / 2**20:,.1f} MB, and all such "
                f"matrices together may take {self._most / 2**20:,.1f}",
                hint="Give them more memory, or serve an older bake of the chain.",
            )

    def take(self, keys: Collection[str], used: Collection[str]) -> bool:
        """Load slices beside those that are `used`; False where there is no room for them now.

        What has not been used for the longest time leaves first.
        """
        wanted = frozenset({*keys, *used})
        if self._size(wanted) > self._most:
            return False
        with self._lock:
            self._in_use = wanted
        for key in keys:
            if not self._touched(key):
                self._has_room(key)
                self._put(key, self._loaded(key))
        return True

    def held(self, key: str) -> Held:
        """Return a slice that is in memory."""
        return self._held[key]

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def _touched(self, key: str) -> bool:
        """Tell whether a slice is in memory; it is the one that was used last, then."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return key in self._held

    def _has_room(self, key: str) -> bool:
        """Make room for a slice: what is not in use leaves, the longest unused first."""
        with self._lock:
            if self._size({key, *self._in_use}) > self._most:
                return False
            for old in [old for old in self._held if old not in self._in_use]:
                if self._size({key, *self._held}) <= self._most:
                    break
                del self._held[old]
            return True

    def _put(self, key: str, held: Held) -> bool:
        """Hold a slice, unless it is held already; False: its room was taken by now."""
        if not self._has_room(key):
            return False
        with self._lock:
            self._held.setdefault(key, held)
            return True

    def _size(self, keys: Collection[str]) -> int:
        return sum(self._sources[key].size for key in set(keys))

    def _named(self, folder: Path, part: Slice | None) -> str:
        """Note where a slice lies, and return its key."""
        if part is None:
            key = f"adapter-{factors.foreign_digest(folder)[:16]}"
            self._sources[key] = _Source(folder, part, factors.foreign_size(folder))
            return key
        found = list(factors.of_part(folder, part))
        key = _key(part, found)
        size = sum(a.nbytes + b.nbytes for _, (a, b) in found)
        self._sources[key] = _Source(folder, part, size)
        return key

    def _loaded(self, key: str) -> Held:
        """Read a slice, and refuse one that is no longer what its key says."""
        source = self._sources[key]
        if source.part is None:
            found = list(factors.of_foreign(self._base, source.folder))
            now = f"adapter-{factors.foreign_digest(source.folder)[:16]}"
        else:
            found = list(factors.of_part(source.folder, source.part))
            now = _key(source.part, found)
        if now != key:
            raise ModelError(f"the adapter in {source.folder} has changed since it was named")
        device = self._base.device
        return Held(key, {name: (a.to(device), b.to(device)) for name, (a, b) in found})


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _key(part: Slice, found: list[tuple[str, Factors]]) -> str:
    return f"{part.bake_id}-{factors.digest_of(found)[:16]}"
