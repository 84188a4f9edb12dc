"""JSON that may be damaged or a stranger's, read without harm to the process.

Every file of JSON that this program did not write this minute is read here: what is no regular
file, too large, too deep, not UTF-8 or not JSON is one error that says so in words.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn, TypeGuard

MB = 1 << 20
LARGEST = 64 * MB
"""Of a document, and of a line of a file of lines. The largest vocabularies take half of it."""
DEEPEST = 64
"""Lists and objects within one another. Nothing that is written here has ten."""

_LONG = re.compile("[0-9]{309}")
"""What only a number beyond any float has; a text may have it, too."""

_TYPES = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


class DamagedError(ValueError):
    """Why a text or a file is not the JSON that it should be: a part of a sentence."""


def load(path: Path, *, most: int = LARGEST, strict: bool = True) -> Any:
    """Return what a file of JSON says; DamagedError or OSError where it cannot be read."""
    return parse(read_bytes(path, most=most), strict=strict)


def load_object(path: Path, *, most: int = LARGEST, strict: bool = True) -> dict[str, Any]:
    """Return the object that a file of JSON holds."""
    return as_object(load(path, most=most, strict=strict))


def load_list(path: Path, *, most: int = LARGEST) -> list[Any]:
    """Return the list that a file of JSON holds."""
    found = load(path, most=most)
    if not isinstance(found, list):
        raise DamagedError(f"it is {kind(found)}, not a list")
    return found


def parse(text: str | bytes, *, strict: bool = True) -> Any:
    """Return what JSON says.

    Strict: no key twice, no NaN or Infinity, no number beyond any float. What other programs
    write may have them, but for whole numbers beyond any float.
    """
    if isinstance(text, bytes):
        text = _decoded(text)
    try:
        if strict:
            found = json.loads(
                text, object_pairs_hook=_once, parse_constant=_not_finite, parse_float=_finite
            )
        else:
            found = json.loads(text)
    except RecursionError as error:
        raise DamagedError(_TOO_DEEP) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DamagedError(f"it is not JSON: {error.msg} at {where}") from error
    except DamagedError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise DamagedError("it has a number that is too long") from error
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(found):
        raise DamagedError(_TOO_DEEP)
    if _LONG.search(text):
        _check_numbers(found)
    if "\\u" in text:
        _check_whole_characters(found)
    return found


def lines(path: Path, *, most: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield the complete lines of a file with their numbers; what a killed writer left is none.

    `most`: bytes of the whole file; None: only a line has a limit.
    """
    with open_regular(path, most=most) as file:
        number = 0
        while line := file.readline(LARGEST + 1):
            number += 1
            if line.endswith(b"\n"):
                yield number, line[:-1]
            elif len(line) > LARGEST:
                raise DamagedError(f"its line {number} is over {LARGEST // MB} MB")


def read_bytes(path: Path, *, most: int = LARGEST) -> bytes:
    """Return what a regular file of at most so many bytes holds."""
    with open_regular(path, most=most) as file:
        data = file.read(most + 1)
    if len(data) > most:  # it grows, or says another size than it has
        raise DamagedError(f"it is over {said_size(most)}")
    return data


def open_regular(path: Path, *, most: int | None = None) -> IO[bytes]:
    """Open a file for reading; DamagedError for a pipe or a device, which may never end."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedError(f"it is {_special(found.st_mode)}, not a file")
        if most is not None and found.st_size > most:
            raise DamagedError(f"it has {said_size(found.st_size)}, over {said_size(most)}")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def as_object(found: Any) -> dict[str, Any]:
    """Return what was read, or say that it is no object."""
    if not isinstance(found, dict):
        raise DamagedError(f"it is {kind(found)}, not an object")
    return found


def kind(value: Any) -> str:
    """Return what a value is, as people say it."""
    return _TYPES.get(type(value), "a number")


def is_whole(value: Any, least: int = 0) -> TypeGuard[int]:
    """Tell whether a value is a whole number; true and false are none."""
    return type(value) is int and value >= least


def said_size(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{count / MB:,.0f} MB" if count >= MB else f"{count:,} bytes"


_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedError(f"it is not UTF-8 (byte {error.start:,})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DamagedError(f"it has the key {twice[:60]!r} twice")
    return found


def _not_finite(name: str) -> NoReturn:
    raise DamagedError(f"it has {name} for a number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise DamagedError(f"it has a number that is too large: {text[:60]}")
    return number


def _is_deep(value: Any) -> bool:
    """Tell whether lists and objects lie too deep in one another, level by level."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _check_numbers(found: Any) -> None:
    """Refuse a whole number beyond any float: whoever divides by it would fail."""
    if isinstance(found, dict | list):
        for inner in found.values() if isinstance(found, dict) else found:
            _check_numbers(inner)
    elif isinstance(found, int) and abs(found) > sys.float_info.max:
        raise DamagedError(f"it has a number that is too large: {str(found)[:60]}")


def _check_whole_characters(found: Any) -> None:
    r"""Refuse halves of characters (`\ud800`), which no file can be written with."""
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DamagedError("it has half a character (a lone surrogate)") from error


def _special(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"
