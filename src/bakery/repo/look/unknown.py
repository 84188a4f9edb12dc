"""A word that names neither a model nor anything of git's: refused with the nearest of both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bakery.errors import RepoError
from bakery.repo.history.find import only_answering
from bakery.repo.look import names
from bakery.repo.model_repo import ModelRepo
from bakery.spelling import nearest
from bakery.strengths import side_of

_NAME = re.compile(r"[A-Za-z0-9_][\w./-]*")
"""What may be somebody's name for something. Anything else is git's to understand: `HEAD~1`,
`a..b`, `:/text`, `*.py`, options."""

_OBJECT = re.compile(r"[0-9a-f]{4,40}")


def refuse(repo: ModelRepo, words: Sequence[str]) -> None:
    """Raise RepoError for the first word that means nothing to anyone; words are never changed."""
    for word in words:
        said = side_of(word)
        if said is not None and not _is_git_s(repo, word) and _is_model(repo, said.name):
            raise only_answering(said)
    if not all(_NAME.fullmatch(word) and ".." not in word for word in words):
        return
    for word in words:
        if not _is_git_s(repo, word) and not _is_model(repo, word):
            raise _unknown(repo, word)


def _is_git_s(repo: ModelRepo, word: str) -> bool:
    if repo.git.ask("rev-parse", "--verify", "--quiet", word) is not None or Path(word).exists():
        return True
    # Too short to be one object's: git lists those that it may be.
    return bool(_OBJECT.fullmatch(word) and repo.git.ask("rev-parse", f"--disambiguate={word}"))


def _is_model(repo: ModelRepo, word: str) -> bool:
    try:
        repo.find_model(word)
    except RepoError:
        return False
    return True


def _unknown(repo: ModelRepo, word: str) -> RepoError:
    targets, models = names.targets(repo), names.models(repo)
    told = f"there is no model {word!r}, and git knows nothing of that name"
    if word in targets:
        return RepoError(told, hint=f"`bgit target {word}` shows the target of that name.")
    files = (repo.git.ask("ls-files", "-z") or "").split("\0")
    short = [name for name in models if name[-17:-16] != "_" or name[:-17] not in models]
    if near := nearest(word, [*short, *names.branches(repo), *files], most=3):
        return RepoError(told, hint=f"Did you mean {' or '.join(near)}?")
    if near := nearest(word, targets):
        return RepoError(told, hint=f"Did you mean the target {near[0]}? `bgit target {near[0]}`")
    return RepoError(
        told, hint="`bgit models --all` lists the models, `git branch -a` the branches."
    )
