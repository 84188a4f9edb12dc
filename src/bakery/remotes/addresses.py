"""Which address a remote of weights may have, and what is refused before anything is opened.

An address may be a stranger's: that of a cloned .bread. So it names a place and nothing else: no
chain of file systems, no user, no password, no options.
"""

from __future__ import annotations

import re
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
