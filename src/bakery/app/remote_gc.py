"""What no manifest of a remote names leaves it, once it is old enough for no push to be at it.

A push sends objects first, and those anew that are older than a day: what is younger than the
grace period may be of a push that is under way. Manifests never go by themselves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bakery.app import remote_check, weights
from bakery.errors import ModelError
from bakery.plain import Plain, plain
from bakery.remotes import manifests, transfer
from bakery.remotes.bucket import AT_ONCE, Bucket, Moved, Seen
from bakery.remotes.manifests import DATA, MODELS, OBJECTS
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

GRACE_DAYS = 14

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Unnamed(Plain):
    """An object that no manifest names."""

    place: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Tidied:
    """What `bgit gc --remote` deleted, or would."""

    remote: str
    removed: tuple[Unnamed, ...]
    young: int
    """How many more no manifest names, which are not old enough, or do not say how old."""
    grace_days: float
    is_dry_run: bool

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit gc --remote --json` prints."""
        names = ("remote", "removed", "young", "grace_days", "is_dry_run")
        return {"schema": 1, **{name: plain(getattr(self, name)) for name in names}}


def gc(
    repo: ModelRepo, *, grace_days: float = GRACE_DAYS, dry_run: bool = False, reporter: Reporter
) -> Tidied:
    """Delete the objects of the enabled remote that nothing names and that are old enough."""
    url = weights.enabled(repo)
    bucket = Bucket(url)
    with reporter.doing(f"looking what {url} has"):
        seen = bucket.seen(MODELS, DATA, OBJECTS)
        before = time.time() - grace_days * _DAY_S  # of what was seen by now
        spare = _unnamed(bucket, seen)
    old = [place for place in spare if (w := seen[place].written) is not None and w <= before]
    if not dry_run and old:
        named = _named(bucket, bucket.seen(MODELS, DATA))  # a push may have ended meanwhile
        old = [place for place in old if place not in named]
        transfer.every(
            lambda place, moved: _delete(bucket, place, moved),
            old, label="gc", total=0, at_once=1 if bucket.commits else AT_ONCE, reporter=reporter,
        )  # fmt: skip
    removed = tuple(Unnamed(place, seen[place].size) for place in old)
    return Tidied(url, removed, len(spare) - len(removed), grace_days, dry_run)


def _unnamed(bucket: Bucket, seen: dict[str, Seen]) -> list[str]:
    """Return the objects that nothing names, and what killed transfers left."""
    named = _named(bucket, seen)
    return [
        place
        for place in seen
        if (manifests.digest_in(place) and place not in named) or place.endswith(".tmp")
    ]


def _named(bucket: Bucket, seen: dict[str, Seen]) -> set[str]:
    """Return what manifests name; ModelError where one cannot be read: it may name anything."""
    known, findings = remote_check.read_all(bucket, seen)
    damaged = [found for found in findings if found.kind == "damaged"]
    if damaged:
        raise ModelError(
            f"{bucket.url}/{damaged[0].place} cannot be read, so it may name any object: "
            f"{damaged[0].why}",
            hint=f"Nothing was deleted. {damaged[0].mend}, or delete it there.",
        )
    return {entry.object for manifest in known for entry in manifest.files}


def _delete(bucket: Bucket, place: str, moved: Moved) -> None:
    moved(0)
    bucket.delete(place)
