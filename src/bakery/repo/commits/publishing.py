"""Bakes on made-up answers: neither pushed, nor let to write or answer as models do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bakery.errors import ConfigError, RepoError
from bakery.records import ModelRef
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.repo.git import Git
from bakery.repo.history.lineage import Lineage

_ALL = frozenset({"--all", "--branches", "--mirror"})
_DELETES = frozenset({"-d", "--delete"})
_TAKES_VALUE = frozenset({"-o", "--push-option", "--repo", "--receive-pack", "--exec"})


def refuse_made_up(git: Git, arguments: Sequence[str]) -> None:
    """Refuse a `git push` with these arguments where a recipe that it takes has such a bake."""
    for rev in revisions(git, arguments):
        blob = git.blob(f"{rev}:{RECIPE}")
        for bake in recipe.parse(blob.text) if blob is not None else ():
            if bake.backend is not None:
                raise RepoError(
                    f"{rev} has {bake.name}, which learnt made-up answers, of the {bake.backend} "
                    "backend: nothing was pushed",
                    hint=f"`bgit revert {bake.name}` takes it back; or push a branch without it.",
                )


def refuse_as_teachers(known: Lineage, models: Iterable[ModelRef]) -> None:
    """Refuse to let such a bake, or one on top of it, write or answer: nobody could tell then."""
    for model in models:
        for bake in known.chain(model) or ():
            if bake.backend is not None:
                raise ConfigError(
                    f"{model} cannot write or answer: {bake.name} learnt made-up answers, of the "
                    f"{bake.backend} backend",
                    hint="Name another model, or try it with `bgit run --backend fake`.",
                )


def revisions(git: Git, arguments: Sequence[str]) -> Iterator[str]:
    """Yield what a push with these arguments sends, as revisions that git knows."""
    if _DELETES & set(arguments):
        return
    if _ALL & set(arguments):
        yield from git.run("for-each-ref", "--format=%(refname)", "refs/heads").split()
        return
    words: list[str] = []
    skipped = False
    for word in arguments:
        if not skipped and not word.startswith("-"):
            words.append(word)
        skipped = word in _TAKES_VALUE and not skipped
    named = [word.removeprefix("+").partition(":")[0] for word in words[1:]]
    for rev in named or ["HEAD"]:
        if rev and git.ids([rev])[0] is not None:
            yield rev
