"""A chain that was made anew on another base takes the place of the branch's own, in one commit.

.bread names the base and the model, and the recipe holds the new chain alone: what the branch had
before stays in git's history, where any place that leads to it (HEAD~1, a branch, a tag, the
reflog) brings it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.commits import checks, record
from bakery.repo.commits.checks import Stand
from bakery.repo.commits.journal import Journal
from bakery.repo.files import recipe, state
from bakery.repo.files.names import BREAD, RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.git import Git
from bakery.reporting import Reporter
from bakery.store.store import Store


@dataclass(frozen=True, slots=True)
class Anew:
    """What takes the place of a branch's chain."""

    base: BaseModelId
    bakes: Mapping[RecordedBake, RecordedBake]
    """The new bakes by those that they replace, oldest first."""
    model: ModelRef | None
    """The current one then; None: the base itself."""


def rebase(git: Git, store: Store, began: Stand, anew: Anew, reporter: Reporter) -> str:
    """Put a new chain on the branch in the place of its own; return the commit."""
    base, model = anew.base, anew.model
    with store.lock(store.root / "record", "bgit rebase", wait_s=record.LOCK_WAIT_S):
        checks.unchanged(git, began)
        head = git.run("rev-parse", "HEAD")
        bread, recipe_blob = git.blobs([f"{head}:{BREAD}", f"{head}:{RECIPE}"])
        if bread is None or recipe_blob is None:
            raise RepoError(f"{BREAD} or {RECIPE} is not committed on this branch")
        texts = {
            BREAD: state.with_parent(state.with_base(bread.text, base), model),
            RECIPE: recipe.on_base(
                recipe_blob.text,
                base.name,
                base.digest,
                [bake.block for bake in anew.bakes.values()],
            ),
        }
        journal = Journal(
            "rebase",
            model.bake_id if model else "base",
            str(git.common_dir),
            began.branch,
            head,
            model=str(model or ""),
            message=_message(state.parse(bread.text), anew),
        )
        files = {path: git.write_blob(text) for path, text in texts.items()}
        return record.commit_journal(git, store, journal, files, reporter)


def left_out(recorded: Sequence[RecordedBake], chain: Sequence[RecordedBake]) -> list[RecordedBake]:
    """Return the bakes of a recipe that are beside a chain, and stay behind."""
    ids = {bake.id for bake in chain}
    return [bake for bake in recorded if bake.id not in ids]


def _message(before: state.State, anew: Anew) -> str:
    base, bakes = anew.base, anew.bakes
    what = anew.model.given_name if anew.model else "the base model"
    each = "".join(
        f"\nModel:  {new.model}\nWas:    {old.model}\nDigest: sha256:{new.digest}\n"
        for old, new in bakes.items()
    )
    return (
        f"rebase: {what}, {len(bakes)} bake{'s' * (len(bakes) != 1)} on another base model\n\n"
        f"Base:   {base.name} (sha256:{base.digest})\n"
        f"Was:    {before.base.name} (sha256:{before.base.digest})\n{each}"
    )
