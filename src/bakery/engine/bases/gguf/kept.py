"""The folder that a GGUF file is unpacked into: made once, kept for every repository of a user.

It is known by the file's digest, and checked on use against what was unpacked: a folder that was
damaged is made anew. It may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bakery import json_file
from bakery.engine.bases.gguf import header, refused
from bakery.errors import ModelError
from bakery.identity import digest, file_digest
from bakery.reporting import Quiet, Reporter
from bakery.store import user

MANIFEST, REFUSED = "unpacked.json", "refused.json"
SCHEMA = 2
"""2: words are cut as the file says where digits stand alone (smollm, starcoder and others)."""
PROGRAM = (sys.executable, "-P", "-m", "bakery.engine.models.unpacking")
"""In a process of its own: its bars and its memory are gone with it. `-P`: nothing that lies in
the current folder is taken for a module."""

SHORT_S = 1.0
_DONE = re.compile(rb"quanti[sz]ing[^\r\n]*?(\d+)/(\d+)")
_ELSEWHERE = "The variable BAKERY_CACHE names another folder for what is unpacked."


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A model's folder, and what is recorded of how it came about."""

    folder: Path
    made: Mapping[str, str]
    notes: tuple[str, ...]
    """What a person should know of it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is written beside an unpacked model."""

    schema: int
    source: str
    """The SHA-256 of the file."""
    name: str
    made: Mapping[str, str]
    """From what, to what, and by which versions."""
    notes: Sequence[str]
    files: Mapping[str, str]
    """The SHA-256 of every other file in the folder."""

    @classmethod
    def of(cls, folder: Path) -> Manifest:
        """Read the manifest of a folder."""
        return cls(**json_file.load_object(folder / MANIFEST))

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def root() -> Path:
    """Return where this user's unpacked models are kept."""
    return user.cache() / "gguf"


def place(source: str) -> Path:
    """Return the folder of the file that has a digest, whether it is there or not."""
    return root() / source[:16]


def unpacked(path: Path, source: str, *, reporter: Reporter | None = None) -> Unpacked:
    """Return the unpacked model of a GGUF file whose SHA-256 is `source`, made where it is missing.

    `reporter` None: nobody is told that it takes a while.
    """
    told, folder = reporter or Quiet(), place(source)
    if problem(folder, source) is None:
        return _described(folder)  # its notes were told when it was made
    with _locked(folder, told):
        wrong = problem(folder, source)  # another process may have made it meanwhile
        if wrong is not None and folder.exists():
            told.note(f"{folder}, where {path.name} is kept unpacked, {wrong}: unpacking it anew")
            shutil.rmtree(folder)
        if wrong is not None:
            _make(path, source, folder, told)
    made = _described(folder)
    for note in made.notes:
        told.note(note)
    return made


def unpack_into(path: Path, folder: Path, *, reporter: Reporter | None = None) -> None:
    """Unpack a file into an empty folder of the caller's own: nothing is kept of it here."""
    refused.check(header.read(path))
    refused.check_reader(path.name)
    _run(path, folder, file_digest(path), reporter or Quiet())


def problem(folder: Path, source: str) -> str | None:
    """Return what is wrong with a folder; None where it is what was unpacked."""
    try:
        manifest = Manifest.of(folder)
    except (OSError, ValueError, TypeError):
        return f"has no valid {MANIFEST}"
    if (manifest.schema, manifest.source) != (SCHEMA, source):
        return "is of another file, or of another version of bakery"
    found = {file.name for file in folder.iterdir()} - {MANIFEST}
    if more := found - set(manifest.files):
        return f"holds {', '.join(sorted(more))}, which does not belong there"
    for name, recorded in manifest.files.items():
        file = folder / name
        if not file.is_file() or file_digest(file) != recorded:
            return f"is damaged ({name})"
    return None


def _described(folder: Path) -> Unpacked:
    manifest = Manifest.of(folder)
    made = {**manifest.made, "digest": digest(manifest.files)}
    return Unpacked(folder, made, tuple(manifest.notes))


@contextmanager
def _locked(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Hold a folder's place; the system lets go of it for a process that ends."""
    import filelock  # here: a folder that is whole needs no lock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.with_suffix(".lock"))
        try:
            lock.acquire(timeout=SHORT_S)
        except filelock.Timeout:
            reporter.note(f"another process is unpacking into {folder}: waiting for it")
            lock.acquire()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _make(path: Path, source: str, folder: Path, reporter: Reporter) -> None:
    """Unpack into a draft that is renamed when it is whole. Its place is held by this process."""
    found = header.read(path)
    refused.check(found)
    refused.check_reader(path.name)
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    _check_room(found, folder)
    doing = "de-quantising" if found.is_quantised else "unpacking"
    reporter.note(f"{doing} {path.name} ({found.stored}) to {found.dtype}: once, kept in {folder}")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        draft.mkdir()
        _run(path, draft, source, reporter)
        draft.rename(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_room(found: header.Header, folder: Path) -> None:
    """Refuse a disk that has no room, before minutes are spent."""
    needed = found.unpacked_bytes
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise ModelError(
            f"{found.path.name} takes {needed / 1e9:.1f} GB unpacked, and {folder.parent} has "
            f"{free / 1e9:.1f} GB left",
            hint=f"Make room. {_ELSEWHERE}",
        )


def _run(path: Path, draft: Path, source: str, reporter: Reporter) -> None:
    """Have a process unpack a file, and pass on how far it is."""
    with subprocess.Popen(
        [*PROGRAM, str(path), str(draft), source],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            last = _watched(process, reporter)
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return
    told = draft / REFUSED
    if told.is_file():
        said = json_file.load_object(told)
        raise ModelError(said["message"], hint=said["hint"])
    killed = process.returncode < 0
    raise ModelError(
        f"{path.name} cannot be unpacked: "
        + (f"the process was killed by signal {-process.returncode}" if killed else last),
        hint="Is there too little memory? A model takes four bytes a weight, twice."
        if killed
        else refused.SAFETENSORS,
    )


def _watched(process: subprocess.Popen[bytes], reporter: Reporter) -> str:
    """Pass on how far a process is, until it ends; return the last line that it wrote."""
    assert process.stderr is not None
    text, shown = b"", (0, 0)
    while piece := process.stderr.read1(4096):  # type: ignore[attr-defined]  # it is buffered
        text = (text + piece)[-8192:]
        bars = _DONE.findall(text)
        state = (int(bars[-1][0]), int(bars[-1][1])) if bars else shown
        if state != shown and 0 < state[0] <= state[1]:
            shown = state
            reporter.progress("unpack", *shown)
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "the process that unpacks it said nothing"


def _unwritable(folder: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{folder} cannot be written: {error.strerror or error}",
        hint=f"Is there room? {_ELSEWHERE}",
    )
