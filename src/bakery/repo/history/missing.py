"""What to say where a file of ours, or the current model's record, is not there."""

from __future__ import annotations

from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo.files.names import BREAD, RECIPE
from bakery.repo.git import Git


def file_missing(git: Git, path: str) -> RepoError:
    """Return the error for a file of ours that is not in the folder."""
    hint = f"`git restore {path}` brings it back."
    if git.ask("config", "--type=bool", "core.sparseCheckout") == "true":
        hint = f"The checkout is sparse: `git sparse-checkout add /{path}` adds it."
    return RepoError(f"{path} is missing in {git.root}", hint=hint)


def parent_not_found(parent: ModelRef, elsewhere: bool) -> RepoError:
    """Return the error for a parent that this branch's recipe.yml does not have."""
    if elsewhere:
        return RepoError(
            f"parent not found: {BREAD} names {parent}, and this branch's {RECIPE} does not have "
            "it",
            hint=f"Another branch has it: `bgit adopt {parent.bake}` brings its record here.",
        )
    return RepoError(
        f"parent not found: {BREAD} names {parent}, which is in no branch's {RECIPE}",
        hint=f"`git log --all --oneline -- {BREAD} {RECIPE}` shows what changed them, `git fetch "
        "--all --tags` may bring it; or go on from another model: `bgit adopt <model>`, "
        "`bgit adopt base` (`bgit tree` shows all).",
    )
