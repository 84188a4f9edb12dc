"""Another model becomes the current one."""

from __future__ import annotations

from dataclasses import dataclass

from bakery.app import run
from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.plain import Plain
from bakery.records import ModelRef
from bakery.repo.commits.adopt import Adopted as Made
from bakery.repo.files.recipe import recorded_base
from bakery.repo.look.progress import has_weights
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Adopted(Plain):
    """Which model is current now. `model` None: the base model."""

    model: ModelRef | None
    base: BaseModelId
    commit: str
    before: str
    """The model that was current, or the base model's name."""
    added: tuple[ModelRef, ...]
    """Models that are recorded on this branch now, too."""
    has_weights: bool
    """Whether this clone's store has the weights."""
    source: str = ""
    """The address at a commit that they came from; "": they were recorded here."""


def adopt(
    repo: ModelRepo, model: str, *, base_model: str | None = None, reporter: Reporter
) -> Adopted:
    """Make a model by its name, or a branch's, the current one.

    `base_model` is what to go on from in a repository that another tool made.
    """
    before, bake = repo.state(), repo.find_model(model)
    base = None
    if before.is_former:
        base = recorded_base(bake) if bake else None
        base = base or run.base_model(base_model or before.base.name)
    elif base_model is not None:
        raise RepoError(
            f"{before.name} is based on {before.base.name}, and bakes fit no other base model",
            hint="`bgit init <name> --base-model ...` makes a repository on another.",
        )
    return told(repo, repo.adopt(bake, base=base, reporter=reporter))


def unchanged(repo: ModelRepo, source: str) -> Adopted:
    """Return what became of a model that was current before, and has its weights from now on."""
    now = repo.state()
    commit = repo.git.run("rev-parse", "HEAD")
    return Adopted(
        now.parent, now.base, commit, str(now.parent), (), has_weights=True, source=source
    )


def told(repo: ModelRepo, made: Made, source: str = "") -> Adopted:
    """Return what an adoption came to; `source` is where the weights came from."""
    return Adopted(
        made.model,
        repo.state().base,
        made.commit,
        made.before,
        tuple(added.model for added in made.added),
        made.model is None or has_weights(repo.store, made.model),
        source,
    )
