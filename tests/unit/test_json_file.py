"""One reader for all JSON that may be damaged: it ends, and says in words what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bakery import json_file
from bakery.json_file import DamagedError

DEEP = 200_000

DAMAGED = {
    "nothing": (b"", "it is not JSON: Expecting value at line 1, column 1"),
    "cut": (b'{"a": [1, 2', "it is not JSON"),
    "two documents": (b"{} {}", "it is not JSON: Extra data"),
    "zeros": (b"\0" * 100, "it is not JSON"),
    "not UTF-8": (b'{"a": "\xff"}', r"it is not UTF-8 \(byte 7\)"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "it is not UTF-8"),
    "deep lists": (b"[" * DEEP + b"]" * DEEP, "it is nested deeper than 64 levels"),
    "deep, never closed": (b"[" * DEEP, "it is nested deeper|it is not JSON"),
    "deep objects": (b'{"a":' * 900 + b"1" + b"}" * 900, "it is nested deeper than 64 levels"),
    "a little too deep": (b"[" * 65 + b"]" * 65, "it is nested deeper than 64 levels"),
    "a long number": (b'{"a": ' + b"9" * 5000 + b"}", "it has a number that is too long"),
    "a large number": (b'{"a": 1e999}', "it has a number that is too large: 1e999"),
    "a large whole number": (b'{"a": [1' + b"0" * 400 + b"]}", "it has a number that is too large"),
    "NaN": (b'{"a": NaN}', "it has NaN for a number"),
    "minus infinity": (b'{"a": -Infinity}', "it has -Infinity for a number"),
    "a key twice": (b'{"r": 8, "r": 4}', "it has the key 'r' twice"),
    "half a character": (rb'{"a": "\ud800"}', "it has half a character"),
    "a list": (b"[]", "it is a list, not an object"),
    "a number": (b"3", "it is a number, not an object"),
    "null": (b"null", "it is null, not an object"),
}


@pytest.mark.parametrize(("data", "said"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_named(workplace: Path, data: bytes, said: str) -> None:
    path = workplace / "a.json"
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=f"^{said}"):
        json_file.load_object(path)


def test_what_others_write_is_read_as_it_is_meant(workplace: Path) -> None:
    path = workplace / "config.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [0.0, Infinity], "b": "\\ud83d\\ude00", "a": 1}')
    assert json_file.load_object(path, strict=False) == {"a": 1, "b": "\U0001f600"}


def test_sixty_four_levels_are_not_too_deep() -> None:
    assert json_file.parse("[" * 64 + "]" * 64)


def test_a_file_over_the_limit_is_not_read(workplace: Path) -> None:
    path = workplace / "a.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of holes
    with pytest.raises(DamagedError, match=r"it has 1,048,576 MB, over 64 MB"):
        json_file.load(path)
    with pytest.raises(DamagedError, match="its line 1 is over 64 MB"):
        list(json_file.lines(path))


def test_what_never_ends_is_not_opened(workplace: Path) -> None:
    os.mkfifo(workplace / "pipe")
    (workplace / "zeros").symlink_to("/dev/zero")
    for path, what in (("pipe", "a pipe"), ("zeros", "a device or a socket"), (".", "a folder")):
        with pytest.raises(DamagedError, match=f"it is {what}, not a file"):
            json_file.load(workplace / path)


def test_lines_are_whole_ones(workplace: Path) -> None:
    path = workplace / "a.jsonl"
    path.write_bytes(b"1\n\n3\nhalf")
    assert list(json_file.lines(path)) == [(1, b"1"), (2, b""), (3, b"3")]
