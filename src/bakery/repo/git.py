"""The user's own git, called and believed.

Nothing is decided here: a call gives git's answer, or an error with git's own words.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from bakery.errors import RepoError
from bakery.repo import left
from bakery.repo.calling import argv, call, checked, environment

OLDEST = "2.31"
"""The first git that has all that is asked of it here."""


_PIPE_BYTES = 1 << 20
"""Of what git is asked for much: fewer turns between two processes, where the system allows it."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file's content as git keeps it."""

    id: str
    data: bytes

    @property
    def text(self) -> str:
        """The content as text with LF line ends."""
        return self.data.decode("utf-8", "replace").replace("\r\n", "\n")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index or a commit has under a path; the mode is in git's six digits."""

    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """How one path differs from one place to the next; ids and modes as `git diff --raw` has them.

    Where a path does not exist, its id is all zeros.
    """

    path: str
    old: str
    new: str
    new_mode: str


@dataclass(frozen=True, slots=True)
class Git:
    """One working tree: calls run in its top folder."""

    root: Path
    git_dir: Path
    common_dir: Path
    extra: tuple[tuple[str, str], ...] = ()
    """The environment of calls with an index and objects of their own."""

    @classmethod
    def find(cls, start: Path) -> Git:
        """Return the working tree that `start` is in; RepoError where there is none."""
        out = checked(
            [
                "rev-parse",
                "--path-format=absolute",
                "--show-toplevel",
                "--absolute-git-dir",
                "--git-common-dir",
            ],
            cwd=start,
        )
        lines = os.fsdecode(out).removesuffix("\n").split("\n")
        if len(lines) > 3 and not lines[0].startswith("--"):
            raise RepoError(
                f"the path of this repository has a line break in it: {start.resolve()!s:.200}",
                hint="git tells its paths line by line: give the folder another name.",
            )
        if len(lines) != 3:  # an option of ours was taken for a name
            version = os.fsdecode(checked(["--version"], cwd=start)).strip()
            raise RepoError(
                f"{version} is too old: bgit needs {OLDEST} or later",
                hint="Install a newer one from https://git-scm.com.",
            )
        root, git_dir, common = map(Path, lines)
        return cls(root, git_dir, common)

    @staticmethod
    def keeps(folder: Path) -> bool:
        """Tell whether the .git in a folder is a repository, or leads to one."""
        return call(["rev-parse", "--resolve-git-dir", ".git"], cwd=folder).returncode == 0

    @classmethod
    def init(cls, folder: Path) -> Git:
        """Make a repository in `folder`; its branch is the user's default, or `main`."""
        asked = call(["config", "init.defaultBranch"], cwd=folder)
        checked(["init", "-q", *([] if asked.returncode == 0 else ["-b", "main"])], cwd=folder)
        return cls.find(folder)

    def run(self, *arguments: str, stdin: bytes = b"", index: Path | None = None) -> str:
        """Return what git prints, without the line end; `index` stands in for the real one."""
        extra = dict(self.extra) | ({} if index is None else {"GIT_INDEX_FILE": str(index)})
        out = checked(arguments, cwd=self.root, stdin=stdin, extra=extra)
        return os.fsdecode(out).rstrip("\n")

    def ask(self, *arguments: str) -> str | None:
        """Return what git prints; None where git answers no (an exit status other than 0)."""
        done = call(arguments, cwd=self.root, extra=dict(self.extra))
        return os.fsdecode(done.stdout).rstrip("\n") if done.returncode == 0 else None

    def answer(self, *arguments: str) -> tuple[int, str, str]:
        """Return git's exit status, its answer, and what else it says."""
        done = call(arguments, cwd=self.root, extra=dict(self.extra))
        return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)

    def commit(self, message: str, *, index: Path | None = None) -> None:
        """Run `git commit`, with the user's hooks, signing and language; RepoError if refused.

        Its output goes through a file: a hook that leaves a process behind would keep a pipe open.
        """
        extra = {} if index is None else {"GIT_INDEX_FILE": str(index)}
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                argv(["commit", "-q", "-m", message]),
                cwd=self.root,
                check=False,
                env=environment(extra, locale=False),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            output.seek(0)
            words = os.fsdecode(output.read()).strip()
        if done.returncode:
            left.refuse_locked(words)
            raise RepoError(
                f"git commit was refused:\n{words}"
                if words
                else "git commit was refused without a reason (a hook?)",
                hint="The same command again commits it, once nothing refuses that.",
            )

    def head(self) -> str | None:
        """Return the current commit; None on a branch without commits."""
        return self.ask("rev-parse", "-q", "--verify", "HEAD^{commit}")

    def branch(self) -> str | None:
        """Return the current branch; None when HEAD is detached."""
        # Not --short: beside a tag of that name it answers `heads/<branch>`.
        ref = self.ask("symbolic-ref", "-q", "HEAD")
        return ref.removeprefix("refs/heads/") if ref is not None else None

    def blobs(self, names: Sequence[str]) -> list[Blob | None]:
        """Return the blobs that `<rev>:<path>` names mean, in one call; None for each missing."""
        if not names:
            return []
        asked = "".join(name + "\n" for name in names).encode("utf-8", "surrogateescape")
        out = checked(["cat-file", "--batch"], cwd=self.root, stdin=asked, extra=dict(self.extra))
        found: list[Blob | None] = []
        at = 0
        for _ in names:
            end = out.index(b"\n", at)
            header, at = out[at:end].split(b" "), end + 1
            if len(header) != 3 or not header[2].isdigit():
                found.append(None)
                continue
            size = int(header[2])
            data, at = out[at : at + size], at + size + 1
            found.append(Blob(header[0].decode(), data) if header[1] == b"blob" else None)
        return found

    def stream(self, ids: Sequence[str]) -> Iterator[Blob]:
        """Return blobs by their ids in any order: many large ones are never held at once.

        What is no blob is left out.
        """
        if not ids:
            return
        ids = _by_difference(ids, self.root)
        with tempfile.TemporaryFile() as asked:
            asked.write("".join(f"{blob}\n" for blob in ids).encode())
            asked.seek(0)
            with subprocess.Popen(
                argv(["cat-file", "--batch"]),
                cwd=self.root,
                stdin=asked,
                stdout=subprocess.PIPE,
                env=environment({}, locale=True),
                pipesize=_PIPE_BYTES,
            ) as process:
                assert process.stdout is not None  # a pipe
                yield from _blobs_of(process.stdout, len(ids))

    def blob(self, name: str) -> Blob | None:
        """Return one blob; None where it is missing."""
        return self.blobs([name])[0]

    def ids(self, names: Sequence[str]) -> list[str | None]:
        """Return the object ids of names, in one call; None for each missing."""
        if not names:
            return []
        asked = "".join(name + "\n" for name in names).encode("utf-8", "surrogateescape")
        out = os.fsdecode(
            checked(["cat-file", "--batch-check=%(objectname)"], cwd=self.root, stdin=asked)
        )
        lines = out.removesuffix("\n").split("\n")
        return [None if " " in line else line for line in lines]

    def parents(self, commit: str) -> list[str]:
        """Return the parents that a commit names, whether or not this clone has them."""
        header = self.run("cat-file", "commit", commit).split("\n\n")[0].split("\n")
        return [line.removeprefix("parent ") for line in header if line.startswith("parent ")]

    def entry(self, path: str, *, at: str | None = None) -> Entry | None:
        """Return what the index, or commit `at`, has under a path; None where it has nothing."""
        listed = ["ls-files", "-s", "-z"] if at is None else ["ls-tree", "-z", at]
        out = self.ask("--literal-pathspecs", *listed, "--", path) or ""
        for row in filter(None, out.split("\0")):
            info, _, found = row.partition("\t")
            mode, second, third = info.split(" ")
            if found == path and (at is not None or third == "0"):  # 0: in no merge conflict
                return Entry(mode, second if at is None else third)
        return None

    def write_blob(self, text: str) -> str:
        """Store text as it is, and return its id."""
        return self.run("hash-object", "-w", "--stdin", stdin=text.encode("utf-8"))

    def statuses(self, paths: Sequence[str]) -> dict[str, str]:
        """Return `XY` of `git status` for those paths that HEAD, index and folder differ in.

        `??` is not added, `!!` not added and ignored.
        """
        out = self.run(
            "--literal-pathspecs",
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignored=matching",
            "--",
            *paths,
        )
        return {row[3:]: row[:2] for row in out.split("\0") if row}

    def staged(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the blob ids that the index holds for paths."""
        out = self.run("--literal-pathspecs", "ls-files", "-s", "-z", "--", *paths)
        rows = (row.split("\t", 1) for row in out.split("\0") if row)
        return {path: info.split(" ")[1] for info, path in rows if info.endswith(" 0")}

    def in_folder(self, path: str) -> str | None:
        """Return the blob id that a file would be added as; None where there is no such file."""
        if not (self.root / path).is_file():
            return None
        return self.run("hash-object", "--path", path, "--", path)

    def changes(self, before: str, after: str) -> list[Change]:
        """Return how two commits differ."""
        out = self.run("diff-tree", "-r", "-z", "--raw", "--no-renames", before, after)
        fields = out.split("\0")
        rows = zip(fields[::2], fields[1::2], strict=False)
        return [
            Change(path, info.split(" ")[2], info.split(" ")[3], info.split(" ")[1])
            for info, path in rows
            if info
        ]

    def update_index(self, changes: Sequence[Change], *, index: Path | None = None) -> None:
        """Put the new side of changes into an index."""
        rows = "".join(f"{c.new_mode} {c.new} 0\t{c.path}\0" for c in changes)
        self.run(
            "update-index",
            "-z",
            "--index-info",
            index=index,
            stdin=rows.encode("utf-8", "surrogateescape"),
        )


def plain_path(path: str) -> str:
    """Return a path of input.yml as git spells it: `./a//b` is `a/b`."""
    return PurePosixPath(path).as_posix()


def merge_texts(base: str, ours: str, theirs: str) -> tuple[str, bool]:
    """Return git's own merge of three texts, and whether it is free of conflicts."""
    with tempfile.TemporaryDirectory(prefix="bgit-") as folder:
        for name, text in (("ours", ours), ("base", base), ("theirs", theirs)):
            Path(folder, name).write_bytes(text.encode("utf-8", "surrogateescape"))
        done = call(["merge-file", "-p", "ours", "base", "theirs"], cwd=Path(folder))
    if done.returncode > 127:
        words = os.fsdecode(done.stderr).strip()
        raise RepoError(f"git merge-file: {words or f'exit status {done.returncode}'}")
    return done.stdout.decode("utf-8", "surrogateescape"), done.returncode == 0


def _by_difference(ids: Sequence[str], root: Path) -> list[str]:
    """Return ids with what is stored as a difference right before what it differs from.

    To read the first of such a chain git reads all of it, and has the others at hand.
    """
    asked = "".join(f"{blob}\n" for blob in ids).encode()
    wanted = ["cat-file", "--batch-check=%(objectname) %(deltabase)"]
    out = os.fsdecode(checked(wanted, cwd=root, stdin=asked))
    base = dict(line.split(" ")[:2] for line in out.splitlines())
    differ_from = set(base.values())
    ordered: dict[str, None] = {}
    for start in (*(blob for blob in ids if blob not in differ_from), *ids):
        link = start
        while link in base and link not in ordered:
            ordered[link] = None
            link = base[link]
    return list(ordered)


def _blobs_of(out: IO[bytes], count: int) -> Iterator[Blob]:
    """Yield the blobs of what `git cat-file --batch` answers to so many names."""
    for _ in range(count):
        header = out.readline().split()
        if len(header) != 3:
            raise RepoError("git cat-file ended too soon", hint="Try `git fsck`.")
        data = out.read(int(header[2]))
        out.read(1)
        if header[1] == b"blob":
            yield Blob(header[0].decode(), data)
