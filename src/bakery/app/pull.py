"""Weights that a clone lacks, from its remote: fetched, checked by name, then by recipe.

An object is called by its SHA-256, so each is checked as it comes. All that came is laid out as a
store is, and taken as from any other clone: what recipes do not name never gets to its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.app import import_, travelling, weights
from bakery.app.push import Moving
from bakery.app.travelling import Part
from bakery.errors import ModelError, StageError
from bakery.identity import file_digest
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.remotes import transfer
from bakery.remotes.bucket import AT_ONCE, Bucket, Moved
from bakery.remotes.manifests import Entry, Manifest
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import drafts
from bakery.store.results import WEIGHTS

INCOMING = "incoming"
"""In the store: objects that were fetched and checked, and are not taken yet."""

_FOLDERS = {"weights": "bake", "questions": "stim", "answers": "target"}


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of the weights of a pull."""

    remote: str
    taken: tuple[Moving, ...]
    here: tuple[Moving, ...]
    """What was in the store before, as it was recorded."""
    missing: tuple[Moving, ...]
    """What the remote does not have, either."""
    bytes: int
    """How many were fetched."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit pull --json` prints."""
        names = ("remote", "taken", "here", "missing", "bytes")
        return {"schema": 1, **{name: plain(getattr(self, name)) for name in names}}


NOTHING = Pulled("", (), (), (), 0)
"""What becomes of the weights where there is no remote of them."""


def pull(
    repo: ModelRepo, *, everything: bool = False, data: bool = False, reporter: Reporter
) -> Pulled:
    """Fetch the current model's weights, or those of all models of this branch (`everything`).

    `data`: questions and answers, too, as far as the remote has them.
    """
    parent = repo.state().parent
    current = repo.find_model(str(parent)) if parent is not None and not everything else None
    bakes = repo.bakes() if everything else [current] if current is not None else []
    wanted = travelling.parts(repo, bakes, data=data)
    if not everything:
        wanted = [p for p in wanted if p.main != WEIGHTS or p.name == str(parent)]
    return fetch(repo, wanted, reporter)


def bring(repo: ModelRepo, model: ModelRef, reporter: Reporter) -> bool:
    """Fetch a model's weights that a command needs, from the enabled remote; tell whether they are.

    False: there is none, the remote lacks them, or nothing is to be fetched unasked.
    """
    found = weights.remote(repo)
    recorded = repo.find_model(str(model))
    if not found.enabled or weights.is_offline() or recorded is None:
        return False
    wanted = [part for part in travelling.models(repo, recorded) if part.name == str(model)]
    reporter.note(f"the weights of {model} are not here: looking for them in {found.enabled}")
    return bool(wanted) and not fetch(repo, wanted, reporter).missing


def fetch(repo: ModelRepo, wanted: Sequence[Part], reporter: Reporter) -> Pulled:
    """Bring some parts into the store from the enabled remote: all that it has, or nothing."""
    url = weights.enabled(repo)
    with repo.store.lock(
        repo.store.root / INCOMING, "bgit pull", wait_s=-1, announce=reporter.note
    ):
        with reporter.doing("reading what is here"):
            here = [part for part in wanted if part.is_here]
        lacking = [part for part in wanted if part not in here]
        bucket = Bucket(url) if lacking else None
        manifests = _manifests(bucket, lacking) if bucket is not None else {}
        come = [part for part in lacking if part.place in manifests]
        count = 0
        if bucket is not None and come:
            chosen = [manifests[part.place] for part in come]
            count = _download(repo, bucket, chosen, reporter)
            _take(repo, come, manifests, reporter)
            shutil.rmtree(repo.store.root / INCOMING, ignore_errors=True)
    return Pulled(
        url,
        tuple(Moving(part.kind, part.name, manifests[part.place].bytes) for part in come),
        tuple(Moving(part.kind, part.name) for part in here),
        tuple(Moving(part.kind, part.name) for part in lacking if part not in come),
        count,
    )


def _manifests(bucket: Bucket, parts: Sequence[Part]) -> dict[str, Manifest]:
    """Return what a remote says of some parts; ModelError where it lies."""
    found: dict[str, Manifest] = {}
    for part, said in zip(parts, travelling.read(bucket, [p.place for p in parts]), strict=True):
        if said is None:
            continue
        if isinstance(said, ValueError):
            raise _refused(bucket, part.place, part, str(said))
        if said.digest != part.digest:
            why = f"it names sha256 {said.digest[:16]}, and recipe.yml {part.digest[:16]}"
            raise _refused(bucket, part.place, part, why)
        found[part.place] = said
    return found


def _refused(bucket: Bucket, place: str, part: Part, why: str) -> ModelError:
    return ModelError(
        f"{bucket.url}/{place} is not the manifest of {part.name}: {why}",
        hint="Nothing was taken. `bgit push --weights-only` of a clone that has its "
        f"{part.kind} writes it anew.",
    )


def _download(
    repo: ModelRepo, bucket: Bucket, manifests: Sequence[Manifest], reporter: Reporter
) -> int:
    """Fetch the objects that are not here yet, each under its own name; return how many bytes."""
    folder = repo.store.root / INCOMING
    folder.mkdir(parents=True, exist_ok=True)
    entries = {entry.object: (entry, m) for m in manifests for entry in m.files}
    lacking = [pair for pair in entries.values() if not _has(folder / pair[0].sha256, pair[0])]
    total = sum(entry.size for entry, _ in lacking)
    _check_room(folder, total, sum(entry.size for entry, _ in entries.values()))

    def one(pair: tuple[Entry, Manifest], moved: Moved) -> None:
        _fetch_one(bucket, *pair, folder, moved)

    transfer.every(one, lacking, label="pull", total=total, at_once=AT_ONCE, reporter=reporter)
    return total


def _fetch_one(
    bucket: Bucket, entry: Entry, manifest: Manifest, folder: Path, moved: Moved
) -> None:
    draft = folder / f"{entry.sha256}.part"
    draft.unlink(missing_ok=True)
    came = 0

    def counted(count: int) -> None:
        nonlocal came
        came += count
        if came > entry.size:
            raise _wrong(bucket, entry, manifest, f"it has more than {entry.size:,} bytes")
        moved(count)

    size = bucket.size(entry.object)
    if size != entry.size:
        there = "it is not there" if size is None else f"it has {size:,} bytes, not {entry.size:,}"
        raise _wrong(bucket, entry, manifest, there)
    try:
        bucket.fetch(entry.object, draft, counted)
        if (found := file_digest(draft)) != entry.sha256:
            raise _wrong(bucket, entry, manifest, f"its sha256 is {found[:16]}")
        draft.replace(folder / entry.sha256)
    finally:
        draft.unlink(missing_ok=True)


def _wrong(bucket: Bucket, entry: Entry, manifest: Manifest, why: str) -> ModelError:
    return ModelError(
        f"{bucket.url}/{entry.object} ({entry.name} of {manifest.name}) is not what its name "
        f"says: {why}",
        hint="Nothing was taken. Delete it there, and `bgit push --weights-only` in a clone that "
        "has it; `bgit fsck --remote --deep` finds all such objects.",
    )


def _has(path: Path, entry: Entry) -> bool:
    """Tell whether an earlier pull that was stopped has fetched an object."""
    return (
        path.is_file() and path.stat().st_size == entry.size and file_digest(path) == entry.sha256
    )


def _check_room(folder: Path, lacking: int, everything: int) -> None:
    wanted, free = lacking + everything, shutil.disk_usage(folder).free
    if wanted > free:
        raise StageError(
            f"fetching takes {wanted:,} bytes, and {folder} has {free:,} left",
            hint="Make room, or move the store with BGIT_STORE. Nothing was fetched.",
        )


def _take(
    repo: ModelRepo, come: Sequence[Part], manifests: dict[str, Manifest], reporter: Reporter
) -> None:
    """Lay what came out as a store is, and take it from there, checked by recipes."""
    incoming = repo.store.root / INCOMING
    with drafts.draft(repo.store.root, "pull") as staging:
        for part in come:
            key = part.beside.name
            beside = staging / _FOLDERS[part.kind] / key
            main = beside / part.path.parent.name if part.main == WEIGHTS else beside
            main.mkdir(parents=True, exist_ok=True)
            for entry in manifests[part.place].files:
                to = (main if entry.name == part.main else beside) / entry.name
                try:
                    os.link(incoming / entry.sha256, to)
                except OSError:  # a disk without hard links
                    shutil.copyfile(incoming / entry.sha256, to)
        bakes = {part.bake.id: part.bake for part in come}
        import_.take(repo, staging, list(bakes.values()), reporter)
