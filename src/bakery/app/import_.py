"""Weights, questions and answers from elsewhere, into this clone's store.

What is wanted is what recipes name by digest. It is found, copied into a folder of its own and
checked there; only when all of it is what was recorded is anything moved to its place.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bakery.app import unpacking
from bakery.errors import BakeryError, ModelError, StageError
from bakery.identity import file_digest
from bakery.records import ModelRef, write_atomic
from bakery.repo.commits.checks import INPUT
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.git import Git
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

_LEFTOVER_AGE_S = 86_400

WEIGHTS, STIMULI, TRAJECTORIES = unpacking.MAIN_FILES
METRICS, DONE = "metrics.jsonl", "done.json"


@dataclass(frozen=True, slots=True)
class Need:
    """One folder of the store that a recipe names, by the digest of its main file."""

    kind: str
    """weights, questions or answers"""
    name: str
    """What people call it: a model or a target."""
    key: str
    """What its folder elsewhere is called: the id of a bake, of questions or of answers."""
    digest: str
    folder: Path
    main: str
    """The file that the digest is of."""
    bake: RecordedBake
    """The bake that needs it."""
    model: ModelRef | None = None
    """None: it is no model."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the recipe says of questions or answers: so must done.json, whatever it says there."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import: each as (kind, name)."""

    source: Path
    taken: tuple[tuple[str, str], ...]
    here: tuple[tuple[str, str], ...]
    """What was in the store before, as it was recorded."""
    missing: tuple[tuple[str, str], ...]
    """What the source does not have."""


@dataclass(slots=True)
class _Found:
    """A file of the source that may be what is needed, and what it was found to be."""

    path: Path
    claims: set[str] = field(default_factory=set)
    """The ids that its folder says it has; empty: it says none."""
    digest: str = ""

    def checked(self) -> str:
        """Return its digest, read once."""
        self.digest = self.digest or file_digest(self.path)
        return self.digest


def take(
    repo: ModelRepo, source: Path, bakes: Sequence[RecordedBake], reporter: Reporter
) -> Imported:
    """Bring what `bakes` need from a store, a clone, an exported folder or an archive.

    An export brings the model that it is of, whatever `bakes` are.
    """
    with _staging(repo) as staging:
        root = _root(source, staging / "unpacked")
        if root.resolve() == repo.store.root.resolve():
            raise StageError(f"{source} is this clone's own store", hint="Name another one.")
        found = _scan(root)
        exported = _exported(repo, found)
        needs = exported or [need for bake in bakes for need in _needs(repo, bake)]
        needs = list({need.folder: need for need in needs}.values())
        here = [need for need in needs if _is_here(need)]
        staged: list[tuple[Need, Path]] = []
        missing: list[Need] = []
        for need in needs:
            if need in here:
                continue
            path = _match(need, found)
            if path is None:
                missing.append(need)
                continue
            reporter.note(f"taking {need.kind} of {need.name}")
            staged.append((need, _staged(repo, need, path, staging / str(len(staged)))))
        for need, draft in staged:
            _move_in(repo, need, draft)
    taken = [need for need, _ in staged]
    parts = (tuple((n.kind, n.name) for n in part) for part in (taken, here, missing))
    return Imported(source, *parts)


def _needs(repo: ModelRepo, bake: RecordedBake) -> Iterator[Need]:
    yield from (_weights(repo, bake, model) for model in bake.models)
    for target in bake.data["targets"]:
        seconds = target.get("seconds") or {}
        yield Need(
            "questions",
            target["name"],
            target["stim_id"],
            target["stimuli_digest"],
            repo.store.stim(target["stim_id"]),
            STIMULI,
            bake,
            told={
                "count": target["stimuli"],
                "writers": target["writers"],
                "seconds": seconds.get("stim", 0.0),
            },
        )
        yield Need(
            "answers",
            target["name"],
            target["id"],
            target["trajectories_digest"],
            repo.store.target(target["id"]),
            TRAJECTORIES,
            bake,
            told={
                "count": target["trajectories"],
                "stim_id": target["stim_id"],
                "seconds": seconds.get("rollout", 0.0),
            },
        )


def _weights(repo: ModelRepo, bake: RecordedBake, model: ModelRef) -> Need:
    folder = repo.store.bake(bake.id) / str(model.step)
    digest = bake.digest_of(model.step)
    return Need("weights", str(model), bake.id, digest, folder, WEIGHTS, bake, model)


def _exported(repo: ModelRepo, found: Mapping[str, list[_Found]]) -> list[Need]:
    """Return what is needed of an export: the one model that it holds; else nothing."""
    if len(found[WEIGHTS]) != 1 or found[STIMULI] or found[TRAJECTORIES]:
        return []
    only = found[WEIGHTS][0]
    for bake in repo.lineage().bakes.values():
        for model in bake.models:
            if bake.id in only.claims or not only.claims:
                need = _weights(repo, bake, model)
                if need.digest == only.checked():
                    return [need]
    raise ModelError(
        f"no recipe of this repository names the weights in {only.path.parent} "
        f"(sha256 {only.checked()[:16]})",
        hint="They are another repository's, a branch's that is not fetched yet, or were changed.",
    )


def _is_here(need: Need) -> bool:
    """Tell whether the store has it whole; what is damaged there is not."""
    path = need.folder / need.main
    complete = need.kind == "weights" or (need.folder / DONE).is_file()
    return complete and path.is_file() and file_digest(path) == need.digest


def _root(source: Path, unpacked: Path) -> Path:
    """Return the folder to look in; an archive is unpacked first."""
    if source.is_file():
        unpacking.unpack(source, unpacked)
        return unpacked
    if not source.is_dir():
        raise StageError(
            f"there is no {source}", hint="Give another clone, its store, an export or a .tar.gz."
        )
    if (source / ".git").exists():
        store = Git.find(source).common_dir / "bakery"
        if not store.is_dir():
            raise StageError(f"the clone {source} has no store, so there is nothing to take")
        return store
    return source


def _scan(root: Path) -> dict[str, list[_Found]]:
    """Return the files of a folder that may be needed, by name."""
    found: dict[str, list[_Found]] = {name: [] for name in unpacking.MAIN_FILES}
    for folder, _, names in os.walk(root, followlinks=False):
        for name in found.keys() & set(names):
            path = Path(folder) / name
            if path.is_symlink():
                raise ModelError(
                    f"{path} is a symbolic link, which is not followed",
                    hint="Copy what it points to in its place, or name that folder.",
                )
            found[name].append(_Found(path, _claims(path)))
    return found


def _claims(path: Path) -> set[str]:
    """Return the ids that a file may be of, as the names around it and its slices say."""
    if path.name != WEIGHTS:
        return {path.parent.name} if _is_id(path.parent.name) else set()
    claims = {path.parent.parent.name} if _is_id(path.parent.parent.name) else set()
    try:
        rows = json.loads((path.parent / "slices.json").read_text(encoding="utf-8"))
        claims.add(str(rows[-1]["bake_id"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass  # Not of ours, or not whole: the digest decides alone.
    return claims


def _is_id(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def _match(need: Need, found: Mapping[str, list[_Found]]) -> Path | None:
    """Return the file that is what is needed; ModelError where one says so and is not."""
    wrong: list[_Found] = []
    for candidate in found[need.main]:
        if candidate.claims and need.key not in candidate.claims:
            continue
        if candidate.checked() == need.digest:
            return candidate.path
        step = need.model is None or candidate.path.parent.name == str(need.model.step)
        if candidate.claims and step and _is_complete(candidate.path):
            wrong.append(candidate)
    if wrong:
        raise ModelError(
            f"{wrong[0].path} is not what recipe.yml records for {need.name}: "
            f"sha256 {wrong[0].checked()[:16]} instead of {need.digest[:16]}",
            hint="It was changed or damaged. Nothing was taken.",
        )
    return None


def _is_complete(path: Path) -> bool:
    """Tell whether a stage that wrote this was done; rows of one that was not are no damage."""
    return path.name == WEIGHTS or (path.parent / DONE).is_file()


def _staged(repo: ModelRepo, need: Need, path: Path, draft: Path) -> Path:
    """Copy what is needed to a folder of its own, and check the copy."""
    draft.mkdir(parents=True)
    _copy(path, draft / need.main)
    if file_digest(draft / need.main) != need.digest:
        raise ModelError(f"{path} changed while it was copied", hint="Nothing was taken.")
    if need.model is not None:
        _complete_weights(repo, need.bake, draft)
        _keep_metrics(path, draft)
        return draft
    for beside in unpacking.BESIDE:
        source = path.parent / beside
        if source.is_symlink() or not source.is_file():
            continue
        _copy(source, draft / beside)
    done = _json(draft / DONE)
    if done is None or done.get("digest") != need.digest:
        raise ModelError(
            f"{path.parent} does not say that its {need.kind} are complete",
            hint=f"Its {DONE} is missing or of other rows. Nothing was taken.",
        )
    notes = done.get("notes")
    kept = notes if isinstance(notes, list) and all(isinstance(n, str) for n in notes) else []
    write_atomic(draft / DONE, _dumped({**done, **need.told, "notes": kept}))
    if (request := _request(repo, need)) is not None:
        write_atomic(draft / "request.json", _dumped(request))
    return draft


def _request(repo: ModelRepo, need: Need) -> Mapping[str, Any] | None:
    """Return what was asked for, as the configuration says; None: it cannot be read any more."""
    plan = show.plan_or_none(repo, need.bake)
    for target in plan.targets if plan else ():
        for request in (target.stim, target.rollout):
            if request.id == need.key:
                return asdict(request)
    return None


def _complete_weights(repo: ModelRepo, bake: RecordedBake, draft: Path) -> None:
    """Write what belongs beside weights: from the recipe, never from where they came."""
    from bakery.engine.bases import bases
    from bakery.engine.models import adapter_folder

    chain, lost = show.ancestry(repo.lineage(), bake)
    if lost is not None:
        raise ModelError(
            f"{bake.name} was baked on {lost}, which no branch here has",
            hint="`git fetch` the branch that has it first.",
        )
    base = repo.state().base
    named = bases.unpacked_at(base) or base.name
    adapter_folder.write_config(draft, base=named, revision=base.revision)
    rows, start = [], 0
    for ancestor in chain:
        stop = start + int(ancestor.data["training"]["r"])
        rows.append(adapter_folder.Slice(ancestor.id, start, stop))
        start = stop
    adapter_folder.write_slices(draft, rows)


def _keep_metrics(path: Path, draft: Path) -> None:
    """Copy the figures of a training, beside the weights or above them, where they can be read."""
    for folder in (path.parent, path.parent.parent):
        figures = folder / METRICS
        if not figures.is_symlink() and figures.is_file():
            with suppress(ValueError, RecursionError):
                rows = [json.loads(line) for line in figures.read_text("utf-8").splitlines()]
                text = "".join(json.dumps(row) + "\n" for row in rows if isinstance(row, dict))
                write_atomic(draft / METRICS, text)
                return


def _move_in(repo: ModelRepo, need: Need, draft: Path) -> None:
    """Put a checked folder in its place; what lay there, damaged or begun, is kept aside."""
    locked = need.folder if need.model is None else need.folder.parent
    with repo.store.lock(locked, "bgit import"):
        figures = draft / METRICS
        if figures.is_file():
            need.folder.parent.mkdir(parents=True, exist_ok=True)
            figures.replace(need.folder.parent / METRICS)
        repo.store.put(draft, need.folder)
        if need.model is not None and need.digest == need.bake.digest:
            _record_beside(repo, need.bake, need.model.step)


def _record_beside(repo: ModelRepo, bake: RecordedBake, step: int) -> None:
    """Write bake.json and what else a finished bake leaves, as the recipe records it."""
    folder = repo.store.bake(bake.id)
    if (folder / DONE).is_file():
        return
    told = {
        k: v
        for k, v in bake.data.items()
        if k not in ("bake_name", "model_names", "input", "steps")
    }
    result = {"schema": 1, "bake_id": bake.id, "step": step, **told}
    with suppress(BakeryError):  # Where it is not in this clone, the bake is whole without it.
        write_atomic(folder / INPUT, show.input_text(repo, bake))
    write_atomic(folder / "bake.json", _dumped(result))
    write_atomic(folder / DONE, _dumped({"schema": 1}))


def _copy(source: Path, to: Path) -> None:
    try:
        with source.open("rb") as read, to.open("xb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
    except OSError as error:
        raise StageError(
            f"{source} cannot be copied: {error}", hint="Is the disk full? Nothing was taken."
        ) from error


def _dumped(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


@contextmanager
def _staging(repo: ModelRepo) -> Iterator[Path]:
    """Yield a folder on the store's own disk; it is gone afterwards."""
    for left in repo.store.root.glob("import-*"):  # of an import that was killed
        if time.time() - left.stat().st_mtime > _LEFTOVER_AGE_S:
            shutil.rmtree(left, ignore_errors=True)
    folder = repo.store.root / f"import-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
