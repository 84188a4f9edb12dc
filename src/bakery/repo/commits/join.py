"""A branch is merged, and with it, in the same commit, the model of this branch becomes another.

It is git's own merge, stopped before its commit: index and folder are git's to change, its hooks
run, and what was killed in the middle is a merge that `git merge --abort` drops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo.commits import checks, record
from bakery.repo.commits.checks import Stand
from bakery.repo.files import recipe, state
from bakery.repo.files.names import BREAD, RECIPE
from bakery.repo.git import Change, Git
from bakery.store.store import Store


@dataclass(frozen=True, slots=True)
class Model:
    """What is current then. `block` None: a recipe has it already."""

    ref: ModelRef | None
    block: str | None = None


def block(git: Git, result: Mapping[str, Any], model: ModelRef) -> str:
    """Return what a recipe says of a bake that no input.yml asked for."""
    return recipe.block(result, model=model, input_blob=git.write_blob(""))


def check(git: Git, branch: str, commit: str) -> None:
    """Refuse what git could not merge, before anything expensive; nothing is changed.

    A git that cannot tell without trying is asked when the model is there.
    """
    if is_in(git, commit):
        return
    if git.ask("merge-base", "HEAD", commit) is None:
        raise RepoError(
            f"{branch} and this branch have no commit in common here",
            hint="In a shallow clone `git fetch --unshallow` brings what they share. `bgit "
            "cherry-pick --weights MODEL` takes a bake without its branch's commits.",
        )
    named = ("--name-only", "-z")
    coming = [p for p in git.run("diff", *named, f"HEAD...{commit}").split("\0") if p]
    staged = [p for p in git.run("diff", "--cached", *named).split("\0") if p]
    mine = sorted({*(git.statuses(coming) if coming else ()), *staged})
    if mine:
        raise RepoError(
            f"changed here, and in the way of a merge: {', '.join(mine)}",
            hint="`git commit` or `git stash` them first.",
        )
    options = ("--write-tree", "-z", "--name-only", "--no-messages")
    code, said, _ = git.answer("merge-tree", *options, "HEAD", commit)
    if code == 1:
        raise _conflicting([path for path in said.split("\0")[1:] if path])


def merge(
    git: Git, store: Store, began: Stand, branch: str, commit: str, model: Model | None
) -> str:
    """Merge a branch's commit, and record which model is current (None: it stays).

    Return the commit that came of it. Where git refuses, all is as it was.
    """
    with store.lock(store.root / "record", "bgit merge", wait_s=record.LOCK_WAIT_S):
        checks.unchanged(git, began)
        _begin(git, commit)
        try:
            _change(git, model)
            git.commit(_message(branch, model))
        except BaseException:
            git.ask("merge", "--abort")
            raise
        return git.run("rev-parse", "HEAD")


def is_in(git: Git, commit: str) -> bool:
    """Tell whether this branch has a commit already."""
    return git.ask("merge-base", "--is-ancestor", commit, "HEAD") is not None


def _begin(git: Git, commit: str) -> None:
    """Let git merge, but for the commit; what it cannot merge is left as it was."""
    code, *said = git.answer("merge", "--no-ff", "--no-commit", "--quiet", commit)
    if code == 0:
        return
    paths = (git.ask("diff", "--name-only", "--diff-filter=U") or "").splitlines()
    git.ask("merge", "--abort")
    raise (
        _conflicting(paths)
        if paths
        else RepoError(f"git cannot merge that:\n{''.join(said).strip()}")
    )


def _change(git: Git, model: Model | None) -> None:
    """Put the model into the merged files, in index and folder."""
    bread, recipe_blob = git.blobs([f":{BREAD}", f":{RECIPE}"])
    if model is None or bread is None or recipe_blob is None:
        return
    text = recipe_blob.text
    if model.block is not None:
        text = recipe.append(text, model.block)
    files = {BREAD: state.with_parent(bread.text, model.ref), RECIPE: text}
    changes = [Change(path, "", git.write_blob(new), "100644") for path, new in files.items()]
    git.update_index(changes)
    git.run("checkout-index", "-q", "-f", "-u", "--", *files)


def _message(branch: str, model: Model | None) -> str:
    if model is None:
        return f"Merge {branch}\n"
    return f"merge: {branch}, with its weights\n\nModel:  {model.ref or 'the base model'}\n"


def _conflicting(paths: list[str]) -> RepoError:
    return RepoError(
        f"git cannot merge these files by itself: {', '.join(paths)}",
        hint="`git merge BRANCH` first, solve them and commit; then the same command again.",
    )
