"""What of this clone's store travels to a remote of weights: which files, under which manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakery.errors import ModelError
from bakery.identity import file_digest
from bakery.remotes import manifests, transfer
from bakery.remotes.bucket import AT_ONCE, Bucket, Seen
from bakery.remotes.manifests import Entry, Manifest
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import results
from bakery.store.results import STIMULI, TRAJECTORIES, WEIGHTS

KINDS = {WEIGHTS: "weights", STIMULI: "questions", TRAJECTORIES: "answers"}


@dataclass(frozen=True, slots=True)
class Part:
    """A model, or questions or answers, that a recipe names: here, and in a remote."""

    place: str
    """Of its manifest."""
    main: str
    name: str
    digest: str
    path: Path
    """Of its main file."""
    beside: Path
    """The folder of what lies beside that."""
    bake: RecordedBake

    @property
    def kind(self) -> str:
        """What people call it: weights, questions or answers."""
        return KINDS[self.main]

    @property
    def is_here(self) -> bool:
        """Whether the store has it as the recipe names it."""
        return self.path.is_file() and file_digest(self.path) == self.digest


def parts(repo: ModelRepo, bakes: Sequence[RecordedBake], *, data: bool) -> list[Part]:
    """Return all models of some bakes; with their questions and answers where `data`."""
    found = [part for bake in bakes for part in models(repo, bake)]
    if data:
        found += [part for bake in bakes for part in _rows(repo, bake)]
    return list({part.place: part for part in found}.values())


def models(repo: ModelRepo, bake: RecordedBake) -> Iterator[Part]:
    """Yield the models that a bake gave."""
    folder = repo.store.bake(bake.id)
    for model in bake.models:
        path = folder / str(model.step) / WEIGHTS
        place = manifests.model_place(bake.id, model.step)
        digest = bake.digest_of(model.step)
        yield Part(place, WEIGHTS, str(model), digest, path, folder, bake)


def _rows(repo: ModelRepo, bake: RecordedBake) -> Iterator[Part]:
    for target in bake.data["targets"]:
        for main, key, digest, folder in (
            (STIMULI, target["stim_id"], target["stimuli_digest"], repo.store.stim),
            (TRAJECTORIES, target["id"], target["trajectories_digest"], repo.store.target),
        ):
            there = folder(key)
            place = manifests.rows_place(main, key)
            yield Part(place, main, target["name"], digest, there / main, there, bake)


def read(bucket: Bucket, places: Sequence[str]) -> list[Manifest | ValueError | None]:
    """Return what some manifests say, or what is wrong with them. None: it is not there."""

    def one(place: str, moved: object) -> Manifest | ValueError | None:
        data = bucket.read(place, manifests.MOST_BYTES + 1)
        if data is None:
            return None
        try:
            if len(data) > manifests.MOST_BYTES:
                raise ValueError("it is too large")
            return manifests.parse(place, data)
        except ValueError as error:
            return error

    return transfer.every(one, places, label="", total=0, at_once=AT_ONCE, reporter=Quiet())


def is_whole(manifest: Manifest, part: Part, seen: dict[str, Seen]) -> bool:
    """Tell whether a remote has a part, and every object of it with its size."""
    sizes = [(entry, seen.get(entry.object)) for entry in manifest.files]
    return manifest.digest == part.digest and all(
        found is not None and found.size == entry.size for entry, found in sizes
    )


def manifest_of(part: Part) -> tuple[Manifest, dict[str, Path]] | None:
    """Return the manifest of a part that is here, and the path of each object; None: it is not.

    ModelError where what is here is not what the recipe names.
    """
    if not part.path.is_file() or (part.main != WEIGHTS and not _are_rows_whole(part)):
        return None
    if (found := file_digest(part.path)) != part.digest:
        raise ModelError(
            f"the {part.kind} of {part.name} here are not the recorded ones: {part.path} has "
            f"sha256 {found[:16]} instead of {part.digest[:16]}",
            hint="Nothing was sent. `bgit fsck` says what mends it; `bgit push --no-weights` "
            "pushes commits alone.",
        )
    names = [name for name in manifests.allowed(part.main) if name != part.main]
    paths = {part.main: part.path} | {name: part.beside / name for name in names}
    entries = [
        Entry(name, part.digest if name == part.main else file_digest(path), path.stat().st_size)
        for name, path in paths.items()
        if path.is_file() and not path.is_symlink()
    ]
    manifest = Manifest(part.place, part.name, part.digest, tuple(entries))
    return manifest, {entry.object: paths[entry.name] for entry in entries}


def _are_rows_whole(part: Part) -> bool:
    return (results.seen(part.beside / results.DONE) or {}).get("digest") == part.digest


def steady(path: Path, entry: Entry) -> bytes:
    """Return the bytes that a small file had when its manifest was drawn up."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ModelError(
            f"{path} was changed while it was being sent",
            hint="Run the same command again: what was sent is not sent again.",
        )
    return data
