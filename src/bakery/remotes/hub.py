"""A model repository of the Hub: what it holds, one commit to it, files out of it.

All is asked through huggingface_hub, which has the credentials; none is read, kept or told here.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery import masking
from bakery.errors import BakeryError, ModelError, RepoError
from bakery.identity import file_digest
from bakery.remotes.addresses import OnHub

_LOUD = "huggingface_hub"
"""Prints what it has failed at; that is told once, in words."""

_COMMIT = re.compile(r"[0-9a-f]{40}")

_MOST_FILES = 10_000
"""A repository of a model has a few dozen."""

LONGEST_TOLD = 300

Sent = Callable[[int, int, str], None]
"""Told how many of how many files have been sent, and which is next."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file of a repository: its size, and what its content is known by."""

    size: int
    oid: str
    """The git id of its blob: of its bytes, or of what stands for them."""
    sha256: str | None
    """Of its bytes, where they lie in LFS."""

    def is_same(self, path: Path) -> bool:
        """Tell whether a file here has the same bytes."""
        if path.stat().st_size != self.size:
            return False
        return file_digest(path) == self.sha256 if self.sha256 else _blob_id(path) == self.oid


@dataclass(frozen=True, slots=True)
class Seen:
    """What a repository is at one commit."""

    commit: str
    is_private: bool
    files: Mapping[str, Held]


class HubModel:
    """One repository, at one version where its address names one."""

    def __init__(self, place: OnHub) -> None:
        self.place = place
        with self._told("asked"):
            from huggingface_hub import HfApi
            from huggingface_hub.utils import disable_progress_bars

            logging.getLogger(_LOUD).setLevel(logging.CRITICAL)
            disable_progress_bars()
            self._api = HfApi()

    def seen(self, *, new_branch: bool = False) -> Seen | None:
        """Return what lies there; None: there is no such repository, or not for who asks.

        `new_branch`: a version that is not there would be a branch from the newest.
        """
        from huggingface_hub.errors import (
            GatedRepoError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        with self._told("asked"):
            try:
                info = self._api.model_info(self.place.repo, revision=self.place.revision or None)
            except RevisionNotFoundError:
                if not new_branch:
                    raise
                info = self._api.model_info(self.place.repo)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError as error:
                if error.response.status_code == 404:
                    return None
                raise
            commit = str(info.sha or "")
            if not _COMMIT.fullmatch(commit):
                raise RepoError(f"{self.place.url} names no commit, but {commit[:60]!r}",
                                hint="Is HF_ENDPOINT the address of a Hub?")  # fmt: skip
            return Seen(commit, info.private is not False, self._files(commit))

    def licence(self) -> str | None:
        """Return the licence that its card names; None: none, or nothing can be asked."""
        with suppress(BakeryError), self._told("asked"):
            data = self._api.model_info(self.place.repo, revision=self.place.revision or None)
            card = data.card_data.to_dict() if data.card_data is not None else {}
            named = card.get("license_name") if card.get("license") == "other" else None
            found = named or card.get("license")
            return found if isinstance(found, str) else None
        return None

    def create(self, *, private: bool) -> None:
        """Make it, where it is not there."""
        with self._told("made"):
            self._api.create_repo(self.place.repo, private=private, exist_ok=True)

    def open_to_all(self) -> None:
        """Make a private repository public."""
        with self._told("made public"):
            self._api.update_repo_settings(self.place.repo, private=False)

    def branch(self, name: str) -> None:
        """Have a branch, made from the newest version where it is not there."""
        with self._told("written to"):
            self._api.create_branch(self.place.repo, branch=name, exist_ok=True)

    def commit(
        self,
        files: Mapping[str, Path],
        deleted: Sequence[str],
        message: str,
        *,
        onto: str | None,
        sent: Sent,
    ) -> str:
        """Add and delete files in one commit, and return it; `onto` is the one that it follows."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with self._told("written to"):
            revision = self.place.revision or None
            added = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
            for number, one in enumerate(added):
                sent(number, len(added), one.path_in_repo)
                self._api.preupload_lfs_files(
                    self.place.repo, [one], revision=revision, free_memory=False
                )
            gone = [CommitOperationDelete(name) for name in deleted]
            made = self._api.create_commit(
                self.place.repo, [*added, *gone], commit_message=message, revision=revision,
                parent_commit=onto,
            )  # fmt: skip
            sent(len(added), len(added), "")
            return str(made.oid)

    def fetch(self, name: str, held: Held, commit: str, folder: Path) -> Path:
        """Fetch a file into a folder, and return it; ModelError where it is not what is listed."""
        with self._told("read"):
            found = Path(
                self._api.hf_hub_download(
                    self.place.repo, name, revision=commit, local_dir=folder, force_download=True
                )
            )
        size = found.stat().st_size
        if size != held.size:
            raise ModelError(
                f"{name} of {self.place.url} has {size:,} bytes, where the Hub says {held.size:,}",
                hint="It came cut off or changed. Run the same command again. Nothing was taken.",
            )
        if not held.is_same(found):
            raise ModelError(
                f"{name} of {self.place.url} is not what the Hub says it is: its digest differs",
                hint="It was changed on the way, or damaged there. Nothing was taken.",
            )
        return found

    def read(self, name: str, held: Held, commit: str) -> bytes:
        """Return what a small file holds, checked as `fetch` does."""
        with tempfile.TemporaryDirectory(prefix="bakery-") as folder:
            return self.fetch(name, held, commit, Path(folder)).read_bytes()

    def _files(self, commit: str) -> dict[str, Held]:
        from huggingface_hub.hf_api import RepoFile

        found: dict[str, Held] = {}
        for entry in self._api.list_repo_tree(
            self.place.repo, recursive=True, revision=commit or self.place.revision or None
        ):
            if not isinstance(entry, RepoFile):
                continue
            sha256 = entry.lfs.sha256 if entry.lfs else None
            found[entry.path] = Held(int(entry.size), str(entry.blob_id), sha256)
            if len(found) > _MOST_FILES:
                raise RepoError(f"{self.place.url} has more than {_MOST_FILES:,} files")
        return found

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Tell what the Hub or its library failed at, and what to do about it."""
        try:
            yield
        except BakeryError:
            raise
        except Exception as error:
            raise _translated(self.place, what, _first(error)) from error


def _first(error: BaseException) -> BaseException:
    """Return what an error comes from: the answer of the Hub, or what kept it from answering."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    found: BaseException | None = error
    while found is not None:
        if isinstance(found, HfHubHTTPError | OfflineModeIsEnabled):
            return found  # type: ignore[no-any-return]  # the library is not typed here
        found = found.__cause__ or found.__context__
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _translated(place: OnHub, what: str, error: BaseException) -> RepoError:
    """Return what to say of an error of the library."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    where = place.at(place.revision) if place.revision else place.url
    if isinstance(error, OfflineModeIsEnabled):
        return RepoError(
            f"{where} cannot be {what}: HF_HUB_OFFLINE is set", hint="Unset it, and run it again."
        )
    if isinstance(error, LocalTokenNotFoundError):
        return RepoError(f"{where} cannot be {what}: the Hub does not know you", hint=_LOGIN)
    if isinstance(error, RevisionNotFoundError):
        return RepoError(
            f"{place.url} has no branch, tag or commit {place.revision or 'of that name'}",
            hint="Its page lists them under Files. Without @ the newest is meant.",
        )
    if isinstance(error, GatedRepoError):
        return RepoError(
            f"{where} cannot be {what}: its owner lets in those who ask",
            hint="Ask on its page while you are logged in, and wait for the answer. " + _LOGIN,
        )
    if isinstance(error, HfHubHTTPError):
        return _refused(where, what, error)
    why = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    return RepoError(
        f"{where} cannot be {what}: {masking.masked(why)[:LONGEST_TOLD]}",
        hint="Is this machine online? Run the same command again"
        + (": a commit is whole, or not made." if what == "written to" else " when it is."),
    )


_LOGIN = "`hf auth login`, or a token in HF_TOKEN; to publish, one that may write."


def _refused(where: str, what: str, error: Any) -> RepoError:
    """Return what to say of an answer that is a refusal."""
    code = int(getattr(error.response, "status_code", 0))
    told = str(error.server_message or "").strip().splitlines()
    said = f": {masking.masked(told[0])[:LONGEST_TOLD]}" if told else ""
    wait = error.response.headers.get("retry-after")
    why, hint = {
        400: ("the Hub takes it for wrong", "What it says is why; nothing was changed."),
        401: ("the Hub does not know you, or no such repository", _LOGIN),
        403: ("you may not", f"Is it yours, or of a team of yours? {_LOGIN}"),
        404: ("there is no such repository, or not for you", f"Check the address. {_LOGIN}"),
        409: ("it changed in the meantime", "Run the same command again, to see what is there."),
        412: ("it changed in the meantime", "Run the same command again, to see what is there."),
        413: ("the Hub takes no file so large", "`--rank` makes an adapter smaller."),
        429: (
            "the Hub has been asked too often",
            f"Wait{f' {wait[:20]} seconds' if wait else ' some minutes'}, and run it again.",
        ),
    }.get(
        code,
        ("the Hub has trouble of its own", "Run the same command again later."),
    )
    return RepoError(f"{where} cannot be {what}: {why} ({code}{said})", hint=hint)


def _blob_id(path: Path) -> str:
    """Return the id that git gives the content of a file."""
    found = hashlib.sha1(b"blob %d\0" % path.stat().st_size)  # git's own
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()
