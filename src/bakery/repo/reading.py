"""One file of a repository: its content, or why it cannot be baked.

The same file is refused for the same reason in the folder, in the index and in a commit.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bakery import pointers
from bakery.errors import ConfigError, RepoError
from bakery.repo.calling import checked
from bakery.repo.git import Change, Git, plain_path

_LINK = "120000"
_SUBMODULE = "160000"
MOST = 1 << 20
"""Bytes of input.yml, tests.yml and .bread: thousands of times what people write."""

_WRITTEN_BY_HAND = ("input.yml", "tests.yml", ".bread")

MOST_DATA = 1 << 30
"""Bytes of a file that input.yml names: larger ones are not kept in git."""


def in_folder(git: Git, name: str) -> bytes:
    """Return a file's content as git would have it, were it added as it lies in the folder."""
    root, path = git.root, plain_path(name)
    for above in list(PurePosixPath(path).parents)[:-1]:
        if (root / above / ".git").exists():
            raise _of_another(path, above)
    try:
        whole = plain_file(root, path)
        _refuse_large(whole.stat().st_size, MOST_DATA, name)
        data = whole.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RepoError(
            f"there is no file {path}", hint=f"Write it, then `bgit add {shlex.quote(path)}`."
        ) from error
    content = _added(git, path, data)[1]
    _refuse_pointer(content, name)
    return content


def in_git(git: Git, name: str, *, at: str | None) -> bytes | None:
    """Return a file's content as git has it, in the index or in commit `at`; None: it does not.

    Where .gitattributes names a filter, git's object may be a pointer or encrypted: the content
    is what the filter writes into the folder.
    """
    found = _blob_and_content(git, plain_path(name), at)
    return found[1] if found is not None else None


def own_text(git: Git, name: str, *, at: str | None) -> str | None:
    """Return the text of a file of ours as git has it, and refuse one that is not kept as it is.

    What is recorded names git's object, so that has to be the text itself.
    """
    found = _blob_and_content(git, name, at)
    return None if found is None else _own(*found, name)


def own_text_in_folder(git: Git, name: str) -> str:
    """Return the text of a file of ours as git would have it; refused where `own_text` refuses."""
    return _own(*_added(git, name, plain_file(git.root, name).read_bytes()), name)


def _own(blob: bytes, content: bytes, name: str) -> str:
    if content != blob:
        raise RepoError(
            f"{name} goes through a filter of .gitattributes: git does not keep it as it is here",
            hint=f"Take the filter off {name} in .gitattributes, then "
            f"`git add --renormalize {name}`.",
        )
    return text_of(content, name)


def text_of(data: bytes, name: str) -> str:
    """Return content as text, or refuse what is not text: replaced characters would be baked."""
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}:{line}:1: this is not UTF-8 text (byte {error.start})",
            hint=f"Save it as UTF-8, then `bgit add {name}`.",
        ) from error


def plain_file(root: Path, name: str) -> Path:
    """Return where a file lies, or refuse what git would not keep as a file.

    A link of a stranger's repository may lead anywhere, and a pipe or a device never ends.
    """
    path = root.resolve() / name
    if path.resolve() != path:
        raise _leads_elsewhere(name)
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise RepoError(f"{name} is {what}, not a file")
    return path


def folder_text(root: Path, name: str) -> str:
    """Return the text of a file of ours as it lies in the folder."""
    path = root / name
    try:
        whole = plain_file(root, name)
        _refuse_large(whole.stat().st_size, _most(name), name)
        text = whole.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RepoError(
            f"{path.name} is missing in {path.parent}",
            hint=f"`git restore {path.name}` brings it back.",
        ) from error
    except UnicodeDecodeError as error:
        raise RepoError(
            f"{path.name} is not UTF-8 text: {error}",
            hint=f"Save it as UTF-8, or `git restore {path.name}`.",
        ) from error
    _refuse_pointer(text[: pointers.MOST_BYTES].encode(), name)
    return text


_CONVERTING = ("filter", "working-tree-encoding", "ident", "text", "crlf", "eol")
"""The attributes by which git changes a file on its way in; the last three, its line ends."""


def _added(git: Git, path: str, data: bytes) -> tuple[bytes, bytes]:
    """Return what git's object would hold of a file in the folder, and what it would be there.

    Line ends, the encoding and filters are git's to change: it adds the file to an index that is
    thrown away, with objects of its own.
    """
    if not _converts(git, path, data):
        return data, data
    with tempfile.TemporaryDirectory(prefix="bgit-") as temporary:
        index, objects = Path(temporary, "index"), Path(temporary, "objects")
        objects.mkdir()
        if (real := git.git_dir / "index").is_file():
            shutil.copyfile(real, index)
        places = {
            "GIT_INDEX_FILE": index,
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": git.common_dir / "objects",
        }
        aside = replace(git, extra=tuple((name, str(place)) for name, place in places.items()))
        above = (str(folder / ".gitattributes") for folder in PurePosixPath(path).parents)
        names = [path, *(name for name in above if (git.root / name).is_file())]
        aside.run("-c", "core.safecrlf=false", "update-index", "--add", "--", *names)
        found = _blob_and_content(aside, path, None)
    return found if found is not None else (data, data)


def _converts(git: Git, path: str, data: bytes) -> bool:
    """Tell whether git may keep other bytes of a file than lie in the folder."""
    out = git.ask("check-attr", "-z", *_CONVERTING, "--", path) or ""
    fields = out.split("\0")
    given = {
        name
        for name, value in zip(fields[1::3], fields[2::3], strict=False)
        if value not in ("unspecified", "unset")
    }
    if given & set(_CONVERTING[:3]):
        return True
    if b"\r" not in data:
        return False
    return bool(given) or git.ask("config", "core.autocrlf") in ("true", "input")


def _blob_and_content(git: Git, path: str, at: str | None) -> tuple[bytes, bytes] | None:
    """Return what git's object of a file holds, and what it is in the folder."""
    entry = git.entry(path, at=at)
    if entry is None:
        for above in list(PurePosixPath(path).parents)[:-1]:
            found = git.entry(str(above), at=at)
            if found is not None and found.mode == _LINK:
                raise _leads_elsewhere(path)
            if found is not None and found.mode == _SUBMODULE:
                raise _of_another(path, above)
        return None
    if entry.mode == _LINK:
        raise _leads_elsewhere(path)
    size = git.ask("cat-file", "-s", entry.id)
    if size is not None:
        _refuse_large(int(size), _most(path), path)
    blob = git.blob(entry.id)
    if blob is None:  # another repository, or a folder
        return None
    smudged = _smudged(git, path, at=at)
    content = blob.data if smudged is None else smudged
    _refuse_pointer(content, path)
    return blob.data, content


def _most(name: str) -> int:
    return MOST if name in _WRITTEN_BY_HAND else MOST_DATA


def _refuse_large(size: int, most: int, name: str) -> None:
    if size > most:
        raise RepoError(
            f"{name} has {size:,} bytes: more than {most:,} are not read",
            hint="Is that the file you meant? Rows of data belong into files of their own.",
        )


def _leads_elsewhere(name: str) -> RepoError:
    return RepoError(
        f"{name} is, or leads through, a symbolic link: git keeps only where it points to",
        hint=f"Put the file itself in its place, then `bgit add {shlex.quote(name)}`.",
    )


def _of_another(name: str, above: PurePosixPath) -> RepoError:
    return RepoError(
        f"{name} is of another git repository, {above}: this one does not keep it",
        hint=f"Put the file outside of {above}, then `bgit add` it.",
    )


def _refuse_pointer(data: bytes, name: str) -> None:
    if pointers.is_pointer(data):
        raise RepoError(
            f"{name} is a Git LFS pointer, not the file itself: `git lfs pull` brings that",
            hint="Git LFS has to be installed: `git lfs install`.",
        )


def _smudged(git: Git, path: str, *, at: str | None) -> bytes | None:
    """Return a file as its filter writes it to the folder; None where it has no filter.

    Both are those of the index, or of commit `at`. Line ends stay what git keeps: they differ
    between machines, and ids are made from contents.
    """
    writing = r"^filter\..*\.(smudge|process)$"
    drivers = (git.ask("config", "--name-only", "--get-regexp", writing) or "").splitlines()
    if not drivers:
        return None
    above = [str(folder / ".gitattributes") for folder in PurePosixPath(path).parents]
    entries = [(name, git.entry(name, at=at)) for name in (path, *above)]
    with tempfile.TemporaryDirectory(prefix="bgit-") as temporary:
        tree, index = Path(temporary, "tree"), Path(temporary, "index")
        tree.mkdir()
        git.update_index([Change(n, "", e.id, e.mode) for n, e in entries if e], index=index)
        places = {"GIT_DIR": git.git_dir, "GIT_WORK_TREE": tree, "GIT_INDEX_FILE": index}
        extra = dict(git.extra) | {name: str(place) for name, place in places.items()}
        asked = ["check-attr", "--cached", "-z", "filter", "--", path]
        answer = os.fsdecode(checked(asked, cwd=tree, extra=extra))
        driver = f"filter.{answer.split(chr(0))[2]}"
        if not {f"{driver}.smudge", f"{driver}.process"} & set(drivers):
            return None
        # Required: where it fails, git would write the blob as it is.
        options = ("core.autocrlf=false", "core.eol=lf", f"{driver}.required=true")
        asked = [word for option in options for word in ("-c", option)]
        checked([*asked, "checkout-index", "--", path], cwd=tree, extra=extra)
        return (tree / path).read_bytes()
