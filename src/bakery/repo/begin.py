"""A folder becomes a model repository: new, empty, with files in it, or a git repository already.

One commit holds what bgit writes and nothing else. Where it cannot be made, the folder is as it
was before.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.repo import reading
from bakery.repo.commits import checks, merging
from bakery.repo.files import starter
from bakery.repo.files.emptied import emptied
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.state import State
from bakery.repo.git import Git

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

EXAMPLE: Mapping[str, bytes] = {INPUT: starter.EXAMPLE.encode()}
"""What there is to bake where nobody says."""

_GROWN = (".gitattributes", ".gitignore")
"""Files of git's own that may be there: what bgit needs is added at their end."""

_README = "README.md"
"""It is written only where nothing of that name is there."""


def begin(
    folder: Path,
    *,
    name: str,
    owner: str | None,
    base: BaseModelId,
    draft: Mapping[str, bytes] = EXAMPLE,
) -> Git:
    """Make a repository with something to bake, and return its git.

    `draft` is input.yml and what belongs to it: the user's to edit, and to commit.
    """
    check(folder, name=name, owner=owner, draft=draft)
    with _or_as_before(folder, draft):
        folder.mkdir(parents=True, exist_ok=True)
        git = Git.find(folder) if (folder / ".git").exists() else Git.init(folder)
        if not is_begun(folder):
            _check_ready(git)
        merging.install(git)
        new = State(owner or _slug(git.ask("config", "user.name")), name, base)
        texts = _texts(git, folder, new, draft[INPUT].decode())
        for path, text in texts.items():
            (folder / path).write_bytes(text.encode("utf-8", "surrogateescape"))
        git.run("add", "--force", "--", *texts)
        # Not committed: what is baked, and why, is for the user's own first commit to say. It lies
        # there before the commit is made, behind which the repository counts as whole.
        for path, content in draft.items():
            (folder / path).write_bytes(content)
        git.commit(f"init: {name}")
    return git


def is_begun(folder: Path) -> bool:
    """Tell whether an `init` was killed before its commit: what it had written is its own."""
    if not (folder / BREAD).is_file() or not Git.keeps(folder):
        return False
    recipe = folder / RECIPE
    if recipe.is_file() and b">>> bake" in recipe.read_bytes():
        return False
    git = Git.find(folder)
    return git.head() is None or git.blob(f"HEAD:{BREAD}") is None


def check(
    folder: Path, *, name: str, owner: str | None, draft: Mapping[str, bytes] = EXAMPLE
) -> None:
    """Refuse a name that models cannot bear, and a folder whose files would be written over."""
    _check_name(name, "repository")
    if owner is not None:
        _check_name(owner, "owner")
    _check_free(folder, draft)


def around(folder: Path) -> Path | None:
    """Return the git repository that a folder would lie in without being its top; None: in none."""
    if (folder / ".git").exists():
        return None
    place = folder.absolute().parent
    while not place.is_dir():
        place = place.parent
    try:
        return Git.find(place).root
    except RepoError:
        return None


def _check_free(folder: Path, draft: Mapping[str, bytes]) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise RepoError(f"{folder} is not a folder", hint="Give another name.")
    if os.path.lexists(folder / ".git") and not Git.keeps(folder):
        raise RepoError(
            f"{folder / '.git'} is there, and it is no git repository",
            hint="Move it away, or give another folder.",
        )
    _refuse_odd(folder, (BREAD, RECIPE, INPUT, *_GROWN, *draft))
    taken = [path for path in (BREAD, RECIPE, INPUT) if (folder / path).exists()]
    if BREAD in taken and is_begun(folder):
        bare = emptied(draft[INPUT].decode()).encode()
        taken = [INPUT] if _is_other(folder / INPUT, draft[INPUT], bare) else []
    elif BREAD in taken:
        raise RepoError(
            f"{folder} is a model repository already",
            hint="`bgit status` shows it; one repository holds one model.",
        )
    others = ((path, content) for path, content in draft.items() if path != INPUT)
    taken += [path for path, content in others if _is_other(folder / path, content)]
    if taken := list(dict.fromkeys(taken)):
        raise RepoError(
            f"{folder} holds {' and '.join(taken)}, which bgit would write",
            hint="Move it away, or give another folder.",
        )


def _refuse_odd(folder: Path, paths: Iterable[str]) -> None:
    """Refuse what is there and is no file of the folder itself: a link's target lies elsewhere."""
    for path in dict.fromkeys(paths):
        whole = folder / path
        inside = (p for p in (whole, *whole.parents) if folder in p.parents)
        if (link := next(filter(Path.is_symlink, inside), None)) is not None:
            raise RepoError(
                f"{link} is a symbolic link, and bgit would write through it",
                hint="Put the file itself in its place, or give another folder.",
            )
        if path in _GROWN and whole.exists() and not whole.is_file():
            raise RepoError(
                f"{whole} is not a file, and bgit would add to it",
                hint="Move it away, or give another folder.",
            )


def _is_other(path: Path, *contents: bytes) -> bool:
    """Tell whether something lies there that would be written over."""
    return path.exists() and not (path.is_file() and path.read_bytes() in contents)


def _check_ready(git: Git) -> None:
    """Refuse where a commit cannot be made, or would take along what is not bgit's."""
    if git.head() is None:
        checks.has_identity(git)
    else:
        checks.can_commit(git)
    staged = git.run("diff", "--cached", "--name-only") if git.head() else git.run("ls-files")
    if staged:
        raise RepoError(
            f"added, and not committed: {', '.join(staged.splitlines()[:3])}",
            hint='`git commit -m "..."` first: the commit of bgit holds only its own files.',
        )


def _texts(git: Git, folder: Path, new: State, example: str) -> Mapping[str, str]:
    """Return what is to be committed; a README that is there stays as it is."""
    texts = starter.of_new_repository(new, example)
    for path in _GROWN:
        if (folder / path).exists():
            before = reading.in_folder(git, path).decode("utf-8", "surrogateescape")
            before = before.replace("\r\n", "\n").rstrip("\n")
            if texts[path].rstrip("\n") not in before:
                texts[path] = f"{before}\n\n{texts[path]}" if before else texts[path]
            else:
                texts[path] = f"{before}\n"
    readme = folder / _README  # a link, too, wherever it leads
    if readme.is_symlink() or _is_other(readme, texts[_README].encode()):
        del texts[_README]
    return texts


@contextmanager
def _or_as_before(folder: Path, draft: Mapping[str, bytes]) -> Iterator[None]:
    """Leave a folder as it was where the block fails."""
    there, had_git = folder.exists(), (folder / ".git").exists()
    own = dict.fromkeys((BREAD, RECIPE, INPUT, *_GROWN, *draft))
    if not os.path.lexists(folder / _README):
        own |= {_README: None}
    kept = {path: (folder / path).read_bytes() for path in own if (folder / path).is_file()}
    made = _first_missing(folder)
    try:
        yield
    except BaseException:
        if not there:
            shutil.rmtree(made, ignore_errors=True)
            raise
        for path in own:
            if path in kept:
                (folder / path).write_bytes(kept[path])
            else:
                (folder / path).unlink(missing_ok=True)
        if had_git:
            Git.find(folder).ask("reset", "-q", "--", *own)
        else:
            shutil.rmtree(folder / ".git", ignore_errors=True)
        raise


def _first_missing(folder: Path) -> Path:
    """Return the highest folder that has to be made on the way to a folder."""
    missing = folder.absolute()
    while not missing.parent.exists():
        missing = missing.parent
    return missing


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith((".", ".git", ".lock")):
        raise ConfigError(
            f"{name!r} cannot name a {what}: it becomes part of model names",
            hint="Letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
            + ("; `--name` gives a repository another name than its folder." * (what[0] == "r")),
        )


def _slug(user_name: str | None) -> str:
    """Return an owner from a person's name; `local` where nothing of it can be spelt."""
    plain = unicodedata.normalize("NFKD", user_name or "").encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:100] or "local"
