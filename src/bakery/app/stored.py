"""What recipes name, in the store, with all beside it as it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bakery.app import fsck_requests
from bakery.app import weights as remotes
from bakery.errors import ModelError, RepoError
from bakery.records import ModelRef
from bakery.repo.commits import checks
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.taken import source_of
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.store import findings, results
from bakery.store.results import DONE, RESULT


@dataclass(slots=True)
class Fetching:
    """How a process gets weights that it needs and lacks: set where it begins."""

    bring: Callable[[ModelRepo, ModelRef], bool] | None = None
    """Tells whether they are here now. None: nobody fetches any unasked."""


FETCHING = Fetching()


def weights(repo: ModelRepo, model: ModelRef) -> Path:
    """Return the folder of a model's weights: the bytes that the recipe names, and nothing else.

    What belongs beside them follows from them and from the recipe: where it is missing it is
    written anew, and where it says something else it is refused.
    """
    from bakery.engine.models import adapter_check, adapter_folder

    folder = repo.store.bake(model.bake_id) / str(model.step)
    if not (folder / adapter_folder.WEIGHTS).is_file():
        brought = FETCHING.bring is not None and FETCHING.bring(repo, model)
        if not brought or not (folder / adapter_folder.WEIGHTS).is_file():
            raise _missing(repo, model, folder)
    recorded = repo.find_model(str(model))
    if recorded is not None:
        _check_base(repo, recorded)
    found = adapter_folder.digest(folder)
    if recorded is not None and recorded.digest_of(model.step) != found:
        raise ModelError(
            f"the weights of {model} are not the recorded ones: recipe.yml says "
            f"{recorded.digest_of(model.step)[:16]}, {folder} holds {found[:16]}",
            hint="The file was changed or damaged: `bgit import DIR` takes the recorded one from "
            "another clone or an export.",
        )
    chain, whole = show.ranks(repo.lineage(), recorded) if recorded is not None else (None, True)
    if recorded is not None and whole:
        write_beside(repo, recorded, folder)
    hint = "Delete it: it is written anew from the weights and recipe.yml. Nothing was loaded."
    adapter_check.check(folder, chain, whole=whole, hint=hint)
    return folder


def _missing(repo: ModelRepo, model: ModelRef, folder: Path) -> ModelError:
    """Return what to say of weights that are not here: first where they may be fetched from."""
    found = remotes.remote(repo)
    if found.enabled and (FETCHING.bring is None or remotes.is_offline()):
        first = f"`bgit pull --weights-only` fetches them from {found.enabled}, where it has them; "
        if remotes.is_offline():
            first = f"--offline or {remotes.OFFLINE} keeps them from being fetched. {first}"
    elif found.enabled:
        first = f"{found.enabled} does not have them, either (`bgit push` where they are); "
    else:
        first = f"{found.announcement}; " if found.is_waiting else ""
    recorded = next((bake for bake in repo.bakes() if bake.id == model.bake_id), None)
    came = source_of(recorded) if recorded is not None else None
    if came is not None and repo.state().parent == model:
        first += f"`bgit adopt {came.get('from')}@{came.get('commit')}` fetches them again; "
    return ModelError(
        f"the weights of {model} are not in this clone's store ({folder})",
        hint=f"{first}`bgit import DIR {model.bake}` takes them from another clone or an export"
        + ("" if came else f"; `bgit reproduce {model.bake}` makes them again")
        + ".",
    )


def _check_base(repo: ModelRepo, bake: RecordedBake) -> None:
    """Refuse a bake of another base: of this branch's, and of one that is on another base."""
    now, on = repo.state().base, bake.part("base")
    if on and on["digest"] != now.digest and bake.id not in {own.id for own in repo.bakes()}:
        raise RepoError(
            f"{bake.name} was baked on {on['name']} ({on['digest'][:16]}), and this branch is "
            f"based on {now.name} ({now.digest[:16]})",
            hint="Weights of a bake fit the base that it was made on: `git switch` to a branch "
            "that has it (`bgit tree`).",
        )
    checks.base_is_the_first(repo.git, now, [*repo.bakes(), bake])


def write_beside(repo: ModelRepo, bake: RecordedBake, folder: Path) -> None:
    """Write what belongs beside a bake's weights and is not there, from the recipe alone."""
    from bakery.engine.bases import bases
    from bakery.engine.models import adapter_check, adapter_folder

    if not (folder / adapter_folder.CONFIG).is_file():
        base = repo.base_of(bake)
        named = bases.unpacked_at(base) or base.name
        adapter_folder.write_config(folder, base=named, revision=base.revision)
    if not (folder / adapter_folder.SLICES).is_file():
        chain, _ = show.ranks(repo.lineage(), bake)
        adapter_folder.write_slices(folder, adapter_check.parts(chain))


def is_bake_told(repo: ModelRepo, bake: RecordedBake) -> bool:
    """Tell whether what a bake left beside its weights can be read, and is of that bake."""
    folder = repo.store.bake(bake.id)
    if any(findings.object_problem(folder / name) for name in (DONE, RESULT)):
        return False
    said = results.seen(folder / RESULT) or {}
    named = said.get("bake_id", bake.id), said.get("digest", bake.digest)
    return named == (bake.id, bake.digest)


def are_rows_told(folder: Path, digest: str) -> bool:
    """Tell whether what lies beside questions or answers can be read, and is of them."""
    if findings.object_problem(folder / DONE) or fsck_requests.problem(folder):
        return False
    return (results.seen(folder / DONE) or {}).get("digest") == digest
