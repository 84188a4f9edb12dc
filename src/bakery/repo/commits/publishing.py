"""What a push sends; and bakes on made-up answers, which are neither pushed nor let to answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bakery.errors import ConfigError, RepoError
from bakery.records import ModelRef
from bakery.repo.calling import call
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.repo.files.recipe import RecordedBake
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


def sent(arguments: Sequence[str], cwd: Path) -> list[str]:
    """Return the revisions that git says a push with these arguments would send, or has sent.

    What the other side would refuse is none of them. Nothing is sent: git is told so before what
    was typed and behind it, as the last word counts.
    """
    at = arguments.index("--") if "--" in arguments else len(arguments)
    ends = ["--no-quiet", "--no-verify", "--porcelain", "--dry-run"]
    words = ["push", "--dry-run", *arguments[:at], *ends, *arguments[at:]]
    told = call(words, cwd=cwd).stdout.decode("utf-8", "surrogateescape")
    found: list[str] = []
    for line in told.splitlines():
        flag, tab, rest = line.partition("\t")
        source = rest.partition("\t")[0].partition(":")[0]
        if tab and flag in ("", " ", "+", "*", "=") and source and source not in found:
            found.append(source)
    return found


def recorded(git: Git, revs: Sequence[str]) -> list[RecordedBake]:
    """Return the bakes of the recipes of some revisions, each once."""
    found: dict[str, RecordedBake] = {}
    for blob in git.blobs([f"{rev}:{RECIPE}" for rev in revs]):
        for bake in recipe.parse(blob.text) if blob is not None else ():
            found.setdefault(bake.id, bake)
    return list(found.values())


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
