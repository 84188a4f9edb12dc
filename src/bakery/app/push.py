"""Weights that a push makes public: what the remote lacks of them, before git sends the commits.

Objects first, each under its SHA-256, then a manifest for each model: whoever sees a manifest finds
all that it names. What a killed push leaves are objects that nothing names: the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bakery.app import travelling, weights
from bakery.app.travelling import Part
from bakery.plain import Plain, plain
from bakery.remotes import transfer
from bakery.remotes.bucket import AT_ONCE, Bucket, Moved, Seen
from bakery.remotes.manifests import DATA, MODELS, OBJECTS, Entry, Manifest
from bakery.repo.commits import publishing
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

T = TypeVar("T")

PER_COMMIT = 200
"""How many files go into a commit of a repository of the hub."""

AGED_S = 86_400
"""An older object that nothing may name yet is sent again, so that no collection takes it."""


@dataclass(frozen=True, slots=True)
class Moving(Plain):
    """A model, or its questions or answers, and how much of it there is to move."""

    kind: str
    name: str
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of the weights of a push."""

    remote: str
    sent: tuple[Moving, ...]
    there: tuple[Moving, ...]
    """What the remote had before."""
    missing: tuple[Moving, ...]
    """What neither this clone nor the remote has."""
    objects: int
    bytes: int
    """How many objects and bytes were sent, or would be."""
    is_dry_run: bool

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit push --json` prints."""
        names = ("remote", "sent", "there", "missing", "objects", "bytes", "is_dry_run")
        return {"schema": 1, **{name: plain(getattr(self, name)) for name in names}}


NOTHING = Pushed("", (), (), (), 0, 0, False)
"""What becomes of the weights where there is no remote of them."""


@dataclass(frozen=True, slots=True)
class _Object:
    entry: Entry
    path: Path
    is_main: bool


def pushed_bakes(
    repo: ModelRepo,
    arguments: Sequence[str],
    cwd: Path,
    *,
    alone: bool = False,
    reporter: Reporter,
) -> list[RecordedBake]:
    """Return the bakes that a `git push` with these arguments makes public.

    `alone`: git pushes nothing, so where it has nowhere to push to, it is what was named, or HEAD.
    """
    revs = publishing.sent(arguments, cwd)
    if alone and not revs:
        revs = list(publishing.revisions(repo.git, arguments))
    if not revs:
        reporter.note("git names no branch that it would push: no weights are sent")
    return publishing.recorded(repo.git, revs)


def push(
    repo: ModelRepo,
    bakes: Sequence[RecordedBake],
    *,
    data: bool = False,
    dry_run: bool = False,
    reporter: Reporter,
) -> Pushed:
    """Send what the enabled remote lacks of some bakes; `data`: their questions and answers, too.

    A dry run sends nothing.
    """
    url = weights.enabled(repo)
    wanted = travelling.parts(repo, bakes, data=data)
    if not wanted:
        return Pushed(url, (), (), (), 0, 0, dry_run)
    bucket = Bucket(url)
    with reporter.doing(f"looking what {url} has"):
        seen = bucket.seen(MODELS, OBJECTS, *([DATA] if data else []))
        known = _known(bucket, wanted, seen)
    there = [p for p in wanted if (m := known.get(p.place)) and travelling.is_whole(m, p, seen)]
    drafts: list[tuple[Part, Manifest]] = []
    objects: dict[str, _Object] = {}
    missing: list[Part] = []
    with reporter.doing("reading what is here"):
        for part in wanted:
            if part in there:
                continue
            if (drawn := travelling.manifest_of(part)) is None:
                missing.append(part)
                continue
            manifest, paths = drawn
            drafts.append((part, manifest))
            for entry in manifest.files:
                one = _Object(entry, paths[entry.object], entry.name == manifest.main)
                objects.setdefault(entry.object, one)
    lacking = [one for one in objects.values() if not _is_there(one.entry, seen)]
    if not dry_run:
        _send(bucket, lacking, reporter)
        _publish(bucket, [manifest for _, manifest in drafts], objects, lacking, reporter)
    count = sum(one.entry.size for one in lacking)
    return Pushed(
        url,
        tuple(Moving(part.kind, part.name, manifest.bytes) for part, manifest in drafts),
        tuple(Moving(part.kind, part.name) for part in there),
        tuple(Moving(part.kind, part.name) for part in missing),
        len(lacking),
        count,
        dry_run,
    )


def _known(bucket: Bucket, wanted: Sequence[Part], seen: dict[str, Seen]) -> dict[str, Manifest]:
    """Return the manifests that are there and can be read; any other is written anew."""
    places = [part.place for part in wanted if part.place in seen]
    read = travelling.read(bucket, places)
    return {found.place: found for found in read if isinstance(found, Manifest)}


def _is_there(entry: Entry, seen: dict[str, Seen]) -> bool:
    found = seen.get(entry.object)
    if found is None or found.size != entry.size:
        return False
    return found.written is None or time.time() - found.written < AGED_S


def _send(bucket: Bucket, objects: Sequence[_Object], reporter: Reporter) -> None:
    def one(items: Sequence[_Object], moved: Moved) -> None:
        if bucket.commits:
            files = {i.entry.object: i.path if i.is_main else _steady(i) for i in items}
            bucket.commit(files, f"bgit: {len(files)} objects")
            moved(sum(item.entry.size for item in items))
            return
        for item in items:
            if item.is_main:
                bucket.send(item.path, item.entry.object, moved)
            else:
                bucket.write(_steady(item), item.entry.object)
                moved(item.entry.size)

    total = sum(item.entry.size for item in objects)
    _every(one, objects, bucket, "push", total, reporter)


def _steady(item: _Object) -> bytes:
    return travelling.steady(item.path, item.entry)


def _every(
    work: Callable[[Sequence[T], Moved], None],
    items: Sequence[T],
    bucket: Bucket,
    label: str,
    total: int,
    reporter: Reporter,
) -> None:
    """Do some work on all items: one by one, or many in a commit, and one commit after another."""
    size = PER_COMMIT if bucket.commits else 1
    some = [items[at : at + size] for at in range(0, len(items), size)]
    at_once = 1 if bucket.commits else AT_ONCE
    transfer.every(work, some, label=label, total=total, at_once=at_once, reporter=reporter)


def _publish(
    bucket: Bucket,
    drafts: Sequence[Manifest],
    objects: dict[str, _Object],
    sent: Sequence[_Object],
    reporter: Reporter,
) -> None:
    """Write the manifests, then send again what a collection took in the same moment."""

    def one(manifests: Sequence[Manifest], moved: Moved) -> None:
        texts = {manifest.place: manifest.text().encode() for manifest in manifests}
        if bucket.commits:
            bucket.commit(texts, f"bgit: {len(texts)} manifests")
            return
        for place, text in texts.items():
            bucket.write(text, place)

    _every(one, drafts, bucket, "manifests", 0, reporter)
    now = {item.entry.object for item in sent}
    before = [item for place, item in objects.items() if place not in now]
    _send(bucket, [i for i in before if bucket.size(i.entry.object) != i.entry.size], reporter)
