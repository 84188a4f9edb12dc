"""The context that is baked, read from a file: messages, or the text of a system prompt.

A file that a person names is read here, whatever it holds: a plain one, and of a sensible size.
"""

from __future__ import annotations

import stat
import warnings
from pathlib import Path

from bakery import pointers
from bakery.brief import first
from bakery.errors import ConfigError
from bakery.paths import expanded
from bakery.records import Message
from bakery.settings import checks
from bakery.yaml import text as yaml_text

TEXT_BYTES = 16 << 20
"""More than any prompt or configuration has."""

DATA_BYTES = 4 << 30
"""More than any data file that is read at once has."""


def read_file(path: Path) -> tuple[Message, ...]:
    """Return the messages of a .json or .yaml file: a list, or a list under `prefix_messages`."""
    document = yaml_text.parse(read_text(path), str(path))
    found = document
    under: tuple[str, ...] = ()
    if isinstance(document, dict):
        names = [name for name in ("prefix_messages", "messages") if name in document]
        under = (names[0],) if names else ()
        found = document[names[0]] if names else document
        if names and (others := [str(name) for name in document if name != names[0]]):
            said = f"{path}: reads `{names[0]}` and leaves out {', '.join(others)}"
            warnings.warn(said, stacklevel=2)
    problems = checks.messages(found, under)
    if problems:
        lines = []
        for problem in problems:
            line, column = yaml_text.position(document, problem.path)
            lines.append(f"{path}:{line}:{column}: {problem.name} {problem.text}".strip())
        raise ConfigError(
            first(lines, path), hint="A prefix is a list of {role: ..., content: ...} messages."
        )
    return tuple(yaml_text.plain(found))


def read_text(path: Path, *, at_most: int = TEXT_BYTES) -> str:
    """Return a text file without the line end that editors put behind it."""
    try:
        text = read_bytes(path, at_most=at_most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not text in UTF-8 (byte {error.start})", hint="Save it as UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def read_bytes(path: Path, *, at_most: int = DATA_BYTES) -> bytes:
    """Return what a file that a person named holds."""
    whole = check_file(path)
    try:
        if whole.stat().st_size > at_most:
            raise ConfigError(f"{path} is larger than {at_most >> 20} MiB")
        return whole.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def check_file(path: Path) -> Path:
    """Return where a file lies, or refuse what is none: a pipe or a device may never end."""
    try:
        whole = expanded(path)
        mode = whole.stat().st_mode
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path} cannot be read: {reason}") from error
    if stat.S_ISDIR(mode):
        raise ConfigError(f"{path} is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise ConfigError(
            f"{path} is a pipe or a device, not a file", hint="Save what it says in a file."
        )
    if pointers.lies_at(whole):
        raise ConfigError(
            f"{path} is a git-lfs pointer, not the file it stands for", hint=pointers.PULL
        )
    return whole
