"""Which address a remote of weights may have, and what is refused before anything is opened.

An address may be a stranger's: that of a cloned .bread. So it names a place and nothing else: no
chain of file systems, no user, no password, no options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bakery.errors import ConfigError
from bakery.harmless import harmless

SCHEMES = ("file", "s3", "gs", "hf")

LONGEST = 1000

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PATH = re.compile(r"~|\.{0,2}/|\.{1,2}$")
"""How a folder begins that is typed as one."""


def checked(url: str) -> str:
    """Return an address as it is kept, without a slash at its end; ConfigError where it is none."""
    if len(url) > LONGEST or _CONTROLS.search(url) or url != url.strip():
        raise _refused(url, "it is too long, or has signs in it that no address has")
    if "::" in url:
        raise _refused(url, "a chain of addresses (::) is not opened")
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in SCHEMES:
        raise _refused(url, f"it begins with none of {', '.join(f'{s}://' for s in SCHEMES)}")
    try:
        host = urlsplit(url).netloc
    except ValueError as error:
        raise _refused(url, "it cannot be read") from error
    if "@" in host:
        raise _refused(
            f"{scheme}://…@{host.rpartition('@')[2]}",
            "an address has no user or password in it: whoever reads it would have them",
        )
    if any(sign in rest for sign in "?#\\*[]{}") or (scheme != "file" and " " in rest):
        raise _refused(url, "it has signs in it that are options or patterns")
    if ".." in PurePosixPath(rest).parts or "//" in rest.rstrip("/").lstrip("/"):
        raise _refused(url, "its path leads up, or has an empty part")
    if scheme == "file":
        if host or not rest.strip("/"):
            raise _refused(url, "a folder is file:// and its whole path: file:///mnt/weights")
    elif not _BUCKET.fullmatch(host):
        raise _refused(url, f"{scheme}:// is followed by the name of a bucket or an owner")
    elif scheme == "hf" and len(PurePosixPath(rest).parts) < 2:
        raise _refused(url, "a repository of the hub is hf://owner/name")
    return url.rstrip("/")


def typed(text: str) -> str:
    """Return the address that somebody typed; a folder is one, too."""
    if _PATH.match(text) and "://" not in text:
        text = f"file://{Path(text).expanduser().resolve().as_posix()}"
    return checked(text)


def missing_folder(url: str) -> str | None:
    """Return the folder that an address means and that is not there, as a disk that is not mounted.

    None: there is one, or it means no folder.
    """
    if scheme(url) != "file":
        return None
    path = Path(url.removeprefix("file://"))
    return None if path.is_dir() else str(path)


@dataclass(frozen=True, slots=True)
class OnHub:
    """A model repository of the Hub, and which version of it; "": the newest."""

    owner: str
    name: str
    revision: str = ""

    @property
    def repo(self) -> str:
        """What the Hub calls it."""
        return f"{self.owner}/{self.name}"

    @property
    def url(self) -> str:
        """Its address, without the version."""
        return f"{HUB}{self.repo}"

    def at(self, commit: str) -> str:
        """Return the address of one version of it."""
        return f"{self.url}@{commit}"


HUB = "hf://"

_HUB_PAGE = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/", re.IGNORECASE)
_HUB_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,198}[A-Za-z0-9_-])?")
_OTHER_KINDS = ("datasets", "spaces", "buckets", "kernels")


def is_on_hub(text: str) -> bool:
    """Tell whether a word means a place on the Hub, and so no name of anything here."""
    return text.startswith(HUB) or _HUB_PAGE.match(text) is not None


def on_hub(text: str) -> OnHub:
    """Return the model repository of the Hub that somebody typed; ConfigError where it is none."""
    if (page := _HUB_PAGE.match(text)) is not None:
        named = "/".join(text[page.end() :].split("/")[:2])
        known = named if named.count("/") == 1 and all(map(_is_hub_part, named.split("/"))) else ""
        raise _no_model(text, "it is the address of a page", f"{HUB}{known or 'owner/name'}")
    if not text.startswith(HUB):
        raise _no_model(text, f"it does not begin with {HUB}")
    plain, mark, revision = text.removeprefix(HUB).partition("@")
    parts = plain.rstrip("/").split("/")
    if ":" in plain or (mark and "/" not in plain):
        raise _no_model(f"{HUB}…", "an address has no user or password in it")
    if parts[0] == "models":
        raise _no_model(text, "a model needs no word for its kind", f"{HUB}{'/'.join(parts[1:])}")
    if parts[0] in _OTHER_KINDS:
        raise _no_model(text, f"it is a place of {parts[0]}, not of a model")
    if len(parts) > 2 and all(map(_is_hub_part, parts[:2])):
        raise _no_model(
            text, "it names a file or folder in a repository", f"{HUB}{'/'.join(parts[:2])}"
        )
    if len(parts) != 2 or not all(map(_is_hub_part, parts)):
        raise _no_model(text, "owner and name are letters, digits, `.`, `_` and `-`")
    if mark and (not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision):
        raise _no_model(text, "behind @ stands a branch, a tag or a commit")
    return OnHub(parts[0], parts[1], revision)


def _is_hub_part(text: str) -> bool:
    return (
        _HUB_PART.fullmatch(text) is not None
        and "--" not in text
        and ".." not in text
        and not text.endswith(".git")
    )


def _no_model(text: str, why: str, meant: str = f"{HUB}owner/name") -> ConfigError:
    return ConfigError(
        f"{harmless(text[:200])!r} is no model repository of the Hub: {why}",
        hint=f"One is {meant if _CONTROLS.search(meant) is None else 'hf://owner/name'}, with "
        "@branch, @tag or @commit behind it where another version than the newest is meant.",
    )


def scheme(url: str) -> str:
    """Return how an address begins."""
    return url.partition("://")[0]


def inside(url: str) -> str:
    """Return what a file system is told: an address without its scheme."""
    return url.partition("://")[2]


def _refused(url: str, why: str) -> ConfigError:
    return ConfigError(
        f"{harmless(url[:200])!r} cannot be a remote of weights: {why}",
        hint="One is file:///folder, s3://bucket/prefix, gs://bucket/prefix or hf://owner/name. "
        "Keys come from the environment, or from the files of the library that opens it.",
    )
