"""Bakes taken back, and what is the current model then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bakery.errors import RepoError
from bakery.plain import Plain
from bakery.records import ModelRef
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Reverted(Plain):
    """Which bakes were taken back."""

    models: tuple[ModelRef, ...]
    commit: str
    model: ModelRef | None
    """The current model now; None: the base model."""
    base: str


def revert(repo: ModelRepo, names: Sequence[str], *, reporter: Reporter) -> Reverted:
    """Take bakes back in one commit: by commit, model name or id, or `--all`."""
    bakes = repo.names_bakes(names) or ()
    commit, now = repo.revert(names, reporter), repo.state()
    return Reverted(tuple(bake.model for bake in bakes), commit, now.parent, now.base.name)


def refuse_lost(repo: ModelRepo, words: Sequence[str]) -> None:
    """Refuse a bake's name that means nothing to git: one that was taken back, or is elsewhere."""
    for word in words:
        commit = repo.git.ask("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}")
        if commit is None and ".." not in word:
            bake = repo.find_model(word)
            raise RepoError(
                f"{bake.model if bake else word} is not baked on this branch",
                hint="`bgit tree` shows which branch has it.",
            )
