"""Is every manifest of a remote one, and is every object there that it names?"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bakery.app import travelling, weights
from bakery.identity import file_digest
from bakery.plain import Plain, plain
from bakery.remotes import manifests, transfer
from bakery.remotes.bucket import AT_ONCE, Bucket, Moved, Seen
from bakery.remotes.manifests import DATA, MODELS, OBJECTS, Manifest
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

AGAIN = "`bgit push --weights-only` of a clone that has it sends it again"


@dataclass(frozen=True, slots=True)
class Found(Plain):
    """Something in a remote that is not as it must be."""

    kind: Literal["missing", "damaged", "foreign"]
    place: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What `bgit fsck --remote` found."""

    remote: str
    findings: tuple[Found, ...]
    manifests: int
    objects: int
    """Those that manifests name."""
    bytes: int
    is_deep: bool
    read_bytes: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is lost or false."""
        return not self.findings

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit fsck --remote --json` prints."""
        names = (
            "remote", "is_sound", "findings", "manifests", "objects", "bytes", "is_deep",
            "read_bytes",
        )  # fmt: skip
        return {"schema": 1, **{name: plain(getattr(self, name)) for name in names}}


def check(repo: ModelRepo, *, deep: bool = False, reporter: Reporter) -> Checked:
    """Check the enabled remote; `deep`: every byte of it, which is fetched for that."""
    url = weights.enabled(repo)
    bucket = Bucket(url)
    with reporter.doing(f"looking what {url} has"):
        seen = bucket.seen(MODELS, DATA, OBJECTS)
        known, findings = read_all(bucket, seen)
    named = {entry.object: (entry.size, m) for m in known for entry in m.files}
    there: list[str] = []
    for place, (size, manifest) in named.items():
        why = _why(seen.get(place), size)
        if why is None:
            there.append(place)
        else:
            mend = AGAIN if place not in seen else f"delete it; {AGAIN}"
            kind: Literal["missing", "damaged"] = "damaged" if place in seen else "missing"
            findings.append(Found(kind, place, f"{why} ({manifest.name} needs it)", mend))
    read = sum(seen[place].size for place in there) if deep else 0
    if deep:
        wrong = _read(bucket, there, read, reporter)
        findings += [
            Found("damaged", place, f"{why} ({named[place][1].name} needs it)",
                  f"delete it; {AGAIN}")
            for place, why in wrong
        ]  # fmt: skip
    total = sum(size for size, _ in named.values())
    return Checked(url, tuple(findings), len(known), len(named), total, deep, read)


def read_all(bucket: Bucket, seen: dict[str, Seen]) -> tuple[list[Manifest], list[Found]]:
    """Return every manifest of a remote that can be read, and what is wrong with the others."""
    places = [place for place in seen if place.startswith((f"{MODELS}/", f"{DATA}/"))]
    ours = [place for place in places if manifests.is_place(place)]
    known: list[Manifest] = []
    findings = [
        Found("foreign", place, "no manifest is called so", "delete it, or move it elsewhere")
        for place in places
        if place not in set(ours) and not place.endswith(".tmp")
    ]
    for place, said in zip(ours, travelling.read(bucket, ours), strict=True):
        if isinstance(said, Manifest):
            known.append(said)
        elif said is not None:
            findings.append(Found("damaged", place, str(said), AGAIN))
    return known, findings


def _why(found: Seen | None, size: int) -> str | None:
    if found is None:
        return "it is not there"
    return None if found.size == size else f"it has {found.size:,} bytes instead of {size:,}"


def _read(
    bucket: Bucket, places: Sequence[str], total: int, reporter: Reporter
) -> list[tuple[str, str]]:
    """Return the objects whose bytes are not what they are called by, and what they are."""
    with tempfile.TemporaryDirectory(prefix="bgit-fsck-") as folder:

        def one(place: str, moved: Moved) -> tuple[str, str] | None:
            to = Path(folder, hashlib.sha256(place.encode()).hexdigest())
            bucket.fetch(place, to, moved)
            found = file_digest(to)
            to.unlink()
            called = manifests.digest_in(place)
            return None if found == called else (place, f"its sha256 is {found[:16]}")

        wrong = transfer.every(
            one, places, label="fsck", total=total, at_once=AT_ONCE, reporter=reporter
        )
    return [one for one in wrong if one is not None]
