"""A .tar.gz of an export or of a store, unpacked without trusting it.

Every entry is looked at before one is written: links, devices and paths that lead elsewhere
refuse the whole archive. Only files that bgit knows are written, none of which can run code.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from bakery.errors import ModelError, StageError
from bakery.store.results import (
    ASKED,
    DONE,
    EVALS,
    FAILED,
    METRICS,
    PROBES,
    REJECTED,
    REQUEST,
    STIMULI,
    TESTED,
    TRAJECTORIES,
    WEIGHTS,
)

MAIN_FILES = (WEIGHTS, STIMULI, TRAJECTORIES)
"""Weights, questions and answers: what recipes record the digests of."""

BESIDE = (REQUEST, REJECTED, FAILED, DONE)
"""What lies beside questions and answers."""

_KNOWN = frozenset((*MAIN_FILES, *BESIDE, "slices.json", METRICS, ASKED, PROBES, EVALS, TESTED))

MOST_ENTRIES = 100_000
"""Of an archive: a store of thousands of bakes has that many."""

MOST_TIMES, SPARE = 100, 64 << 20
"""Times as large as an archive, and bytes beyond that, is what it may hold: weights hardly pack."""

_NOT_WHOLE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, MemoryError)
"""What a damaged archive raises: also names with a NUL, and sizes that no memory holds."""


def unpack(archive: Path, folder: Path) -> None:
    """Write the known files of an archive into a new folder."""
    try:
        with tarfile.open(archive) as tar:
            members = _members(archive, tar)
            chosen = [m for m in members if m.isfile() and PurePosixPath(m.name).name in _KNOWN]
            _check_room(folder, sum(member.size for member in chosen))
            for member in chosen:
                to = folder.joinpath(*PurePosixPath(member.name).parts)
                to.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None  # it is a file
                with content, to.open("xb") as written:
                    shutil.copyfileobj(content, written, 1 << 20)
    except _NOT_WHOLE as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{archive} is not a complete tar archive: {why}", hint="Nothing was taken."
        ) from error
    except FileExistsError as error:
        raise ModelError(f"{archive} holds a file twice: {error.filename}") from error
    except OSError as error:
        raise StageError(
            f"{archive} cannot be unpacked: {error}", hint="Nothing was taken."
        ) from error


def _members(archive: Path, tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Return the entries of an archive, each checked as it is read: there may be no end of them."""
    most = archive.stat().st_size * MOST_TIMES + SPARE
    members: list[tarfile.TarInfo] = []
    size = 0
    while (member := tar.next()) is not None:
        _check(archive, member)
        members.append(member)
        size += member.size
        if len(members) > MOST_ENTRIES or size > most:
            what = f"{MOST_ENTRIES:,} files" if size <= most else f"{most:,} bytes"
            raise ModelError(
                f"{archive} is refused: it holds more than {what}", hint="Nothing was unpacked."
            )
    return members


def _check(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    leads_away = path.is_absolute() or ".." in path.parts or "\\" in member.name
    if leads_away or ":" in (path.parts or ("",))[0]:
        raise ModelError(
            f"{archive} is refused: its entry {member.name!r} points outside the archive",
            hint="Nothing was unpacked.",
        )
    if not member.isfile() and not member.isdir():
        raise ModelError(
            f"{archive} is refused: its entry {member.name!r} is a link or a device",
            hint="Nothing was unpacked.",
        )


def _check_room(folder: Path, wanted: int) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if wanted > free:
        raise StageError(
            f"the archive takes {wanted:,} bytes unpacked, and {there} has {free:,} left",
            hint="Make room, or move the store with BGIT_STORE.",
        )
