"""A remote as a few operations on bytes: list, read, send, fetch, delete.

What is sent is never seen half: a folder gets a temporary name first, the others keep nothing of
a transfer that ended early. What a library says of a failure is told as it is, without secrets.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bakery.errors import BakeryError, RepoError
from bakery.records import sync_folder
from bakery.remotes import addresses

CONNECT_S, READ_S = 10, 60
"""How long a server may keep silent, at first and later on."""

CHUNK = 1 << 20

AT_ONCE = 8
"""How many transfers go on at a time."""

_LOUD = ("aiobotocore", "fsspec", "gcsfs", "huggingface_hub", "s3fs")
"""Libraries that print what they have failed at, with tracebacks; it is told once, in words."""

Moved = Callable[[int], None]
"""Told how many more bytes there are; it raises where that is to end."""

_EXTRA = {"s3": "s3", "gs": "gs"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of a remote: its size, and when it was written, in seconds. None: it is not said."""

    size: int
    written: float | None


class Bucket:
    """An opened remote. Paths are relative to its address."""

    def __init__(self, url: str) -> None:
        self.url = addresses.checked(url)
        self.scheme = addresses.scheme(url)
        self._own = threading.local()
        with self._told("opened"):
            self._shared = _opened(self.scheme, self.url)
            self._root = str(self._shared._strip_protocol(self.url)).rstrip("/")

    @property
    def commits(self) -> bool:
        """Whether what is written is a commit, so that many files should be one: see `commit`."""
        return self.scheme == "hf" and not addresses.inside(self.url).startswith("buckets/")

    @property
    def _fs(self) -> Any:
        """The file system; the hub's keeps what it has listed, and threads would take it apart."""
        if self.scheme != "hf" or threading.current_thread() is threading.main_thread():
            return self._shared
        if not hasattr(self._own, "fs"):
            self._own.fs = _opened(self.scheme, self.url)
        return self._own.fs

    def seen(self, *folders: str) -> dict[str, Seen]:
        """Return all files below some folders of it."""
        found: dict[str, Seen] = {}
        with self._told("listed"):
            if self.scheme == "file" and not Path(self._root).is_dir():
                return {}
            self._fs.invalidate_cache()
            extra = {"expand_info": True} if self.scheme == "hf" else {}
            for folder in folders:
                with suppress(FileNotFoundError):
                    listed = self._fs.find(f"{self._root}/{folder}", detail=True, **extra)
                    for path, info in listed.items():
                        place = path.removeprefix(self._root).lstrip("/")
                        if info.get("type") == "file":
                            found[place] = Seen(int(info.get("size") or 0), _written(info))
        return found

    def size(self, place: str) -> int | None:
        """Return how large a file is; None: it is not there."""
        with self._told("looked at"):
            self._fs.invalidate_cache()
            try:
                info = self._fs.info(f"{self._root}/{place}")
            except FileNotFoundError:
                return None
            return int(info["size"] or 0) if info.get("type") == "file" else None

    def read(self, place: str, most: int) -> bytes | None:
        """Return at most so many bytes of a file; None: it is not there."""
        with self._told("read"):
            try:
                data = self._fs.cat_file(f"{self._root}/{place}", start=0, end=most)
            except FileNotFoundError:
                return None
            return bytes(data)

    def send(self, source: Path, place: str, moved: Moved) -> None:
        """Put a file there, whole or not at all."""
        with self._told("written to"):
            if self.scheme == "file":
                with source.open("rb") as read:
                    self._into_folder(place, iter(lambda: read.read(CHUNK), b""), moved)
            else:
                to = f"{self._root}/{place}"
                self._fs.put_file(str(source), to, callback=_callback(moved))

    def write(self, data: bytes, place: str) -> None:
        """Put some bytes there, whole or not at all."""
        with self._told("written to"):
            if self.scheme == "file":
                self._into_folder(place, iter([data]), lambda count: None)
            else:
                self._fs.pipe_file(f"{self._root}/{place}", data)

    def commit(self, files: Mapping[str, Path | bytes], message: str) -> None:
        """Put some files into a repository of the hub, all of them or none."""
        from huggingface_hub import CommitOperationAdd, HfApi

        with self._told("written to"):
            to = self._fs.resolve_path(self._root)
            within = f"{to.path_in_repo}/" if to.path_in_repo else ""
            added = [
                CommitOperationAdd(within + place, data if isinstance(data, bytes) else str(data))
                for place, data in files.items()
            ]
            HfApi(endpoint=self._fs.endpoint, token=self._fs.token).create_commit(
                to.repo_id, added, commit_message=message, repo_type=to.repo_type,
                revision=to.revision,
            )  # fmt: skip
            self._fs.invalidate_cache()

    def fetch(self, place: str, to: Path, moved: Moved) -> None:
        """Write what lies there into a new file, which the caller checks."""
        with self._told("read"):
            if self.scheme == "file":
                with Path(self._root, place).open("rb") as read, to.open("xb") as written:
                    for data in iter(lambda: read.read(CHUNK), b""):
                        moved(len(data))
                        written.write(data)
            else:
                self._fs.get_file(f"{self._root}/{place}", str(to), callback=_callback(moved))

    def delete(self, place: str) -> None:
        """Take a file away; one that is gone already is no error."""
        with self._told("deleted from"), suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{place}")

    def _into_folder(self, place: str, chunks: Iterator[bytes], moved: Moved) -> None:
        final = Path(self._root, place)
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = final.with_name(f".{final.name[:64]}.{secrets.token_hex(4)}.tmp")
        try:
            with draft.open("xb") as written:
                for data in chunks:
                    written.write(data)
                    moved(len(data))
                written.flush()
                os.fsync(written.fileno())
            draft.replace(final)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(final.parent)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Tell what a library has failed at: each has errors of its own."""
        try:
            yield
        except (BakeryError, StoppedError):
            raise
        except ImportError as error:
            extra = _EXTRA.get(self.scheme)
            install = f"`pip install 'prompt-bakery[{extra}]'` adds it." if extra else None
            raise RepoError(
                f"{self.url} needs a library that is not installed: {error.name or error}",
                hint=install,
            ) from error
        except Exception as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise RepoError(
                f"the remote of weights {self.url} cannot be {what}: {why}",
                hint=f"{_HINTS[self.scheme]} `bgit push --no-weights`, `bgit pull --no-weights` "
                "and `--offline` go on without it.",
            ) from error


class StoppedError(Exception):
    """A transfer is to end: another one failed, or somebody pressed Ctrl-C."""


_HINTS = {
    "file": "Is the folder there, and may you write to it?",
    "s3": "Is it there, and is this machine online? Keys are read from the environment "
    "(AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, …) and from ~/.aws.",
    "gs": "Is it there, and is this machine online? Keys are read from the environment "
    "(GOOGLE_APPLICATION_CREDENTIALS) and from what `gcloud auth` left.",
    "hf": "Is it there, and is this machine online (HF_HUB_OFFLINE)? The key is HF_TOKEN, or what "
    "`hf auth login` left.",
}  # fmt: skip


def _opened(scheme: str, url: str) -> Any:
    """Return the file system of an address: nothing is asked of it yet."""
    import fsspec  # here: most commands open no remote

    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    fresh = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme == "s3":
        waits = {"connect_timeout": CONNECT_S, "read_timeout": READ_S,
                 "retries": {"max_attempts": 3, "mode": "standard"}}  # fmt: skip
        return fsspec.filesystem("s3", config_kwargs=waits, **fresh)
    if scheme == "gs":
        return fsspec.filesystem("gs", requests_timeout=READ_S, **fresh)
    return fsspec.filesystem(scheme, **fresh)


def _written(info: dict[str, Any]) -> float | None:
    """Return when a file was written, by whichever name a library says it."""
    last = info.get("last_commit")
    said = (info.get("mtime"), info.get("LastModified"), info.get("updated"),
            getattr(last, "date", None))  # fmt: skip
    for value in said:
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return None


def _callback(moved: Moved) -> Any:
    from fsspec.callbacks import Callback

    class Told(Callback):
        value = 0

        def relative_update(self, inc: int = 1) -> None:
            self.absolute_update(self.value + inc)

        def absolute_update(self, value: int) -> None:
            before, self.value = self.value, value
            moved(value - before)

    return Told()
