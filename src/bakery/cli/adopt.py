"""`bgit adopt`: another branch's model becomes the one of this branch."""

from __future__ import annotations

import click

from bakery.app import run
from bakery.errors import RepoError
from bakery.repo.commits.adopt import recorded_base
from bakery.repo.look.show import has_weights
from bakery.repo.model_repo import ModelRepo
from bakery.ui import tree
from bakery.ui.progress import reporter


@click.command()
@click.argument("model", metavar="BRANCH|MODEL|base")
@click.option(
    "--base-model",
    metavar="NAME|PATH",
    help="What to go on from in a repository that another tool made.",
)
def adopt(model: str, base_model: str | None) -> None:
    """Make another branch's model, or any other, the current one.

    One commit on this branch names the model, and records what it was baked on. A branch (also
    `origin/x`), a tag or a commit stands for its model; `base` starts anew from the base model,
    and all bakes stay recorded.
    """
    repo = ModelRepo.find()
    before, bake = repo.state(), repo.find_model(model)
    base = None
    if before.is_former:
        base = (recorded_base(bake) if bake else None) or run.base_model(
            base_model or before.base.name
        )
    elif base_model is not None:
        raise RepoError(
            f"{before.name} is based on {before.base.name}, and bakes fit no other base model",
            hint="`bgit init <name> --base-model ...` makes a repository on another.",
        )
    with reporter() as shown:
        adopted = repo.adopt(bake, base=base, reporter=shown)
    here = adopted.model is None or has_weights(repo, adopted.model)
    tree.show_adopted(adopted, repo.state(), has_weights=here)
