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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bakery.app import beside, elsewhere, stored, unpacking
from bakery.app.elsewhere import Found, Need
from bakery.errors import BakeryError, ConfigError, ModelError, StageError
from bakery.identity import file_digest
from bakery.json_file import DamagedError
from bakery.records import ModelRef, write_atomic
from bakery.repo.files import ranks
from bakery.repo.files.names import INPUT
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import drafts, results
from bakery.store.results import DONE, REQUEST, RESULT, STIMULI, TRAJECTORIES, WEIGHTS

_LEFTOVER_AGE_S = 86_400


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import: each as (kind, name)."""

    source: Path
    taken: tuple[tuple[str, str], ...]
    here: tuple[tuple[str, str], ...]
    """What was in the store before, as it was recorded."""
    missing: tuple[tuple[str, str], ...]
    """What the source does not have."""
    other: str | None = None
    """The model that the source is an export of, where another one was asked for."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit import --json` prints."""
        parts = {"taken": self.taken, "here": self.here, "missing": self.missing}
        rows = {part: [{"kind": k, "name": n} for k, n in found] for part, found in parts.items()}
        return {"source": str(self.source), **rows}


def import_(
    repo: ModelRepo,
    source: Path,
    models: Sequence[str] = (),
    *,
    everything: bool = False,
    reporter: Reporter,
) -> Imported:
    """Bring what some models need (none named: the current one), or `everything` of the branch."""
    if models and everything:
        raise ConfigError("name models, or give --all: not both")
    if everything:
        return take(repo, source, repo.bakes(), reporter)
    named = [bake for model in models or ("parent",) if (bake := repo.find_model(model))]
    found = take(repo, source, named, reporter)
    asked = {str(model) for bake in named for model in bake.models}
    other = [name for kind, name in (*found.taken, *found.here) if kind == "weights"]
    return replace(found, other=other[0]) if models and asked.isdisjoint(other or asked) else found


def take(
    repo: ModelRepo, source: Path, bakes: Sequence[RecordedBake], reporter: Reporter
) -> Imported:
    """Bring what `bakes` need from a store, a clone, an exported folder or an archive.

    An export brings the model that it is of, whatever `bakes` are.
    """
    with _staging(repo) as staging:
        root = elsewhere.root(source, staging / "unpacked")
        if root.resolve() == repo.store.root.resolve():
            raise StageError(f"{source} is this clone's own store", hint="Name another one.")
        found = elsewhere.scan(root)
        exported = _exported(repo, found)
        needs = exported or [need for bake in bakes for need in _needs(repo, bake)]
        needs = list({need.folder: need for need in needs}.values())
        here = [need for need in needs if _is_here(need) and _is_told(need)]
        staged: list[tuple[Need, Path]] = []
        missing: list[Need] = []
        for need in needs:
            if need in here:
                continue
            path = elsewhere.match(need, found)
            if path is None:
                (here if _is_here(need) else missing).append(need)
                continue
            reporter.note(f"taking {need.kind} of {need.name}")
            staged.append((need, _staged(repo, need, path, staging / str(len(staged)))))
        for need, draft in staged:
            _move_in(repo, need, draft)
        for need in here:
            _tell_anew(repo, need, reporter)
    taken = [need for need, _ in staged]
    return Imported(source, _told(taken), _told(here), _told(missing))


def _told(needs: Sequence[Need]) -> tuple[tuple[str, str], ...]:
    return tuple((need.kind, need.name) for need in needs)


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


def _exported(repo: ModelRepo, found: Mapping[str, list[Found]]) -> list[Need]:
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
        hint="They belong to another repository or to a branch not fetched yet, or were changed.",
    )


def _is_here(need: Need) -> bool:
    """Tell whether the store has it whole; what is damaged there is not."""
    path = need.folder / need.main
    complete = need.kind == "weights" or results.is_done(need.folder)
    return complete and path.is_file() and file_digest(path) == need.digest


def _is_told(need: Need) -> bool:
    """Tell whether rows that are here are what lies beside them; weights need nobody's word."""
    return need.model is not None or stored.are_rows_told(need.folder, need.digest)


def _tell_anew(repo: ModelRepo, need: Need, reporter: Reporter) -> None:
    """Write anew what lies beside weights that are here, where it was damaged."""
    if need.model is not None and need.digest == need.bake.digest:
        if stored.is_bake_told(repo, need.bake):
            return
        reporter.note(f"{RESULT} of {need.name} is written anew from recipe.yml")
        with repo.store.lock(need.folder.parent, "bgit import"):
            _record_beside(repo, need.bake, need.model.step)


def _staged(repo: ModelRepo, need: Need, path: Path, draft: Path) -> Path:
    """Copy what is needed to a folder of its own, and check the copy."""
    draft.mkdir(parents=True)
    _copy(path, draft / need.main)
    if file_digest(draft / need.main) != need.digest:
        raise ModelError(f"{path} changed while it was being copied", hint="Nothing was taken.")
    if need.model is not None:
        _complete_weights(repo, need.bake, draft, path)
        beside.take(path, draft, need.bake.id)
        return draft
    for name in unpacking.BESIDE:
        source = path.parent / name
        if source.is_symlink() or not source.is_file():
            continue
        _copy(source, draft / name)
    done = results.seen(draft / DONE)
    if done is None or done.get("digest") != need.digest:
        raise ModelError(
            f"{path.parent} does not say that its {need.kind} are complete",
            hint=f"Its {DONE} is missing or describes other rows. Nothing was taken.",
        )
    notes = done.get("notes")
    kept = notes if isinstance(notes, list) and all(isinstance(n, str) for n in notes) else []
    write_atomic(draft / DONE, _dumped({**done, **need.told, "notes": kept}))
    if (request := _request(repo, need)) is not None:
        write_atomic(draft / REQUEST, _dumped(request))
    return draft


def _request(repo: ModelRepo, need: Need) -> Mapping[str, Any] | None:
    """Return what was asked for, as the configuration says; None: it cannot be read any more."""
    plan = show.plan_or_none(repo, need.bake)
    for target in plan.targets if plan else ():
        for request in (target.stim, target.rollout):
            if request.id == need.key:
                return asdict(request)
    return None


def _complete_weights(repo: ModelRepo, bake: RecordedBake, draft: Path, path: Path) -> None:
    """Write what belongs beside weights, from the recipe; refuse those that no bake leaves.

    A stranger's recipe may name any weights by their digest.
    """
    from bakery.engine.bases import bases
    from bakery.engine.models import adapter_check, adapter_head

    chain, lost = show.ancestry(repo.lineage(), bake)
    if lost is not None:
        raise ModelError(
            f"{bake.name} was baked on {lost}, which no branch here has",
            hint="`git fetch` the branch that has it first.",
        )
    try:
        found = adapter_head.read(draft / WEIGHTS)
        adapter_head.check_numbers(draft / WEIGHTS)
        with suppress(ModelError):  # The base is not here: it is compared when it is loaded.
            base = repo.base_of(bake)
            adapter_check.check_fits(found, bases.locate(base.name, base.revision)[0])
        stored.write_beside(repo, bake, draft)
        for damage in adapter_check.damages(draft, ranks.parts(chain)):
            raise DamagedError(damage.why)
    except DamagedError as error:
        raise ModelError(
            f"{path} is not an adapter of {bake.name}: {error}",
            hint="recipe.yml names these very bytes: whoever made them made them so. Nothing was "
            "taken.",
        ) from error


def _move_in(repo: ModelRepo, need: Need, draft: Path) -> None:
    """Put a checked folder in its place; what lay there, damaged or begun, is kept aside."""
    locked = need.folder if need.model is None else need.folder.parent
    with repo.store.lock(locked, "bgit import"):
        if need.model is not None:
            beside.move_in(draft, need.folder.parent)
        repo.store.put(draft, need.folder)
        if need.model is not None and need.digest == need.bake.digest:
            _record_beside(repo, need.bake, need.model.step)


def _record_beside(repo: ModelRepo, bake: RecordedBake, step: int) -> None:
    """Write bake.json and what else a finished bake leaves, as the recipe records it."""
    folder = repo.store.bake(bake.id)
    if stored.is_bake_told(repo, bake):
        return
    told = {
        k: v
        for k, v in bake.data.items()
        if k not in ("bake_name", "model_names", "input", "steps")
    }
    result = {"schema": 1, "bake_id": bake.id, "step": step, **told}
    with suppress(BakeryError):  # Where it is not in this clone, the bake is whole without it.
        write_atomic(folder / INPUT, show.input_text(repo, bake))
    write_atomic(folder / RESULT, _dumped(result))
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


@contextmanager
def _staging(repo: ModelRepo) -> Iterator[Path]:
    """Yield a folder on the store's own disk; it is gone afterwards."""
    for left in repo.store.root.glob("import-*"):  # by their process's number, of before
        if time.time() - left.stat().st_mtime > _LEFTOVER_AGE_S:
            shutil.rmtree(left, ignore_errors=True)
    with drafts.draft(repo.store.root, "import") as folder:
        yield folder
