"""Ways to spoil a file: its bytes, its lines, its words, or a value in the document that it is."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

WORDS = [
    "PROMPT", "TARGET", "BAKE", "teacher", "student", "messages", "role", "system", "content",
    "tools", "generators", "type", "hardcoded", "numq", "template", "datasets", "target", "weight",
    "name", "epochs", "model", "null", "true", "~", "[]", "{}", "''", "-", "---", "...", "<<: *x",
    "&x", "*x", "*student", "!!python/object:os.system", "!!binary aGk=", "!foo", "|", ">", "?",
    ": ", "#", "%YAML 9.9", "0", "-1", "1.5", "1e999", ".nan", "-.inf", "9" * 30, "9" * 5000,
    "0x" + "f" * 4000, "2026-99-99", "12:30:61", "[" * 200, "{a: " * 100, "- " * 90, "\t",
    "\x00", "\x07", "\ufeff", "\ud7ff", "\u2028", "\x85", "é", "日本", "🙂", "\r", "a" * 3000,
    "sk-" + "a" * 30, "@", "`", "\\", '"\\x"', '"\\ud800"', "${numq}", "../x", "/etc/passwd",
    "²", "٣", "\u202e", "\x1b[2J", "maybe", "NaN", "Infinity",
]  # fmt: skip

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 7, 10**6, 10**30, 0.5, -0.5, 1e-300, 1e300, float("inf"),
    float("nan"), "", "x", "base", "tiny-1", "default", "main", "a/b", "a/b/c_0123456789abcdef/3",
    "x_0123456789abcdef", "hosted:x", "~/x", "/x", "..", "no such.csv", "rows.csv", "é🙂", "a\nb",
    [], [[]], [None], ["x"], [0.5, 0.5], [1, 2, 3], {}, {"x": None}, {"type": "hardcoded"},
    {"name": "f"}, {"role": "user", "content": "x"}, {"target": "main"}, {"r": 0}, "²", "\x1b[2J",
]  # fmt: skip

Change = Callable[[str, random.Random], str]


def text(given: str, rng: random.Random, *, others: tuple[str, ...] = ()) -> str:
    """Return a text after one to four changes; `others` may be spliced into it."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        change = rng.choice(TEXT)
        given = _splice(given, rng, others) if change is _cut and others else change(given, rng)
    return given


def raw(given: bytes, rng: random.Random) -> bytes:
    """Return bytes after a change that knows nothing of what they mean."""
    way = rng.randrange(7)
    data = bytearray(given)
    if way <= 1 and data:
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif way == 2:
        del data[rng.randrange(len(data) + 1) :]
    elif way == 3:
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.randbytes(rng.choice((1, 8, 500)))
    elif way == 4:
        at = rng.randrange(len(data) + 1)
        del data[at : at + rng.choice((1, 4, 64, 4096))]
    elif way == 5:
        data = bytearray(rng.choice((b"", b"\x00" * 64, b"\xff\xfe", b"\xef\xbb\xbf", LFS, HTML)))
    else:
        data += given[: rng.randrange(len(given) + 1)]
    return bytes(data)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 12345\n"
HTML = b"<!DOCTYPE html><html><body>404</body></html>"


def document(given: Any, rng: random.Random, *, keys: tuple[str, ...] = ()) -> Any:
    """Return a document with one to three other values, names or places in it."""
    found = copy.deepcopy(given)
    if rng.random() < 0.05:
        return rng.choice(VALUES)
    for node, key in _some_nodes(found, rng):
        way = rng.randrange(6)
        if way == 0 and isinstance(node, dict) and key in node:
            node[rng.choice(keys or tuple(WORDS[:18]))] = node.pop(key)
        elif way == 1 and isinstance(node, dict):
            node.pop(key, None)
        elif way == 2 and isinstance(node, list):
            node.insert(rng.randrange(len(node) + 1), copy.deepcopy(rng.choice(node)))
        elif way == 3 and isinstance(node, dict):
            node[rng.choice(keys or tuple(WORDS[:18]))] = copy.deepcopy(rng.choice(VALUES))
        elif way == 4:
            _put(node, key, _near(node[key] if _has(node, key) else None, rng))
        else:
            _put(node, key, copy.deepcopy(rng.choice(VALUES)))
    return found


def json_text(given: Any, rng: random.Random, *, keys: tuple[str, ...] = ()) -> str:
    """Return JSON that is spoilt as a document, as a text, or nested too deeply."""
    way = rng.random()
    if way < 0.6:
        return json.dumps(document(given, rng, keys=keys), ensure_ascii=rng.random() < 0.5)
    if way < 0.92:
        return text(json.dumps(given, indent=rng.choice((None, 2))), rng)
    deep = rng.choice((60, 900, 20_000, 200_000))
    nested = rng.choice(("[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep))
    found = document(given, rng)
    if isinstance(found, dict) and found:
        name = rng.choice(list(found))
        rest = {k: v for k, v in found.items() if k != name}
        return json.dumps(rest)[:-1] + (", " if rest else "") + json.dumps(name) + f": {nested}}}"
    return nested


def _some_nodes(found: Any, rng: random.Random) -> list[tuple[Any, Any]]:
    nodes: list[tuple[Any, Any]] = []

    def gather(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            nodes.append((node, key))
            if isinstance(node[key], dict | list):
                gather(node[key])

    if isinstance(found, dict | list):
        gather(found)
    return rng.sample(nodes, min(len(nodes), rng.randint(1, 3)))


def _has(node: Any, key: Any) -> bool:
    return key in node if isinstance(node, dict) else key < len(node)


def _put(node: Any, key: Any, value: Any) -> None:
    if isinstance(node, dict) or key < len(node):
        node[key] = value


def _near(value: Any, rng: random.Random) -> Any:
    """Return another value of the same kind: what looks right and is not."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((value + 1, value * 2, -value, value // 2))
    if isinstance(value, float):
        return rng.choice((value * 2, -value, value / 3))
    if isinstance(value, str) and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice("abc01/ ") + value[at + 1 :]
    if isinstance(value, list):
        return value[::-1] if rng.random() < 0.5 else value[1:]
    return rng.choice(VALUES)


def _flip_byte(given: str, rng: random.Random) -> str:
    data = bytearray(given.encode("utf-8", "surrogatepass"))
    for _ in range(rng.randint(1, 4)):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data.decode("utf-8", "replace")


def _drop_line(given: str, rng: random.Random) -> str:
    lines = given.split("\n")
    at = rng.randrange(len(lines))
    return "\n".join(lines[:at] + lines[at + rng.randint(1, 3) :])


def _repeat_line(given: str, rng: random.Random) -> str:
    lines = given.split("\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    return "\n".join([*lines[:to], *lines[at : at + rng.randint(1, 5)], *lines[to:]])


def _swap_tokens(given: str, rng: random.Random) -> str:
    tokens = re.split(r"(\W+)", given)
    a, b = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]
    return "".join(tokens)


def _swap_value(given: str, rng: random.Random) -> str:
    """Put another kind of value behind a key."""
    lines = given.split("\n")
    keyed = [i for i, line in enumerate(lines) if re.search(r"\w\s*[:=] ", line)] or [0]
    at = rng.choice(keyed)
    key = re.split(r"(?<=[:=]) ", lines[at], maxsplit=1)[0]
    lines[at] = f"{key} {rng.choice(WORDS)}"
    return "\n".join(lines)


def _indent(given: str, rng: random.Random) -> str:
    lines = given.split("\n")
    at = rng.randrange(len(lines))
    lines[at] = rng.choice([" ", "  ", "\t", "    "]) * rng.randint(0, 4) + lines[at].lstrip()
    return "\n".join(lines)


def _put_word(given: str, rng: random.Random) -> str:
    at = rng.randrange(len(given) + 1)
    return given[:at] + rng.choice(WORDS) + given[at + rng.choice((0, 0, 1, 5)) :]


def _cut(given: str, rng: random.Random) -> str:
    return given[: rng.randrange(len(given) + 1)]


def _splice(given: str, rng: random.Random, others: tuple[str, ...]) -> str:
    other = rng.choice(others)
    return given[: rng.randrange(len(given) + 1)] + other[rng.randrange(len(other) + 1) :]


def _reencode(given: str, rng: random.Random) -> str:
    coded = given.encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "utf-8"]), "replace")
    return coded.decode(rng.choice(["utf-8", "latin-1", "cp1252"]), "replace")


TEXT: list[Change] = [
    _flip_byte, _drop_line, _repeat_line, _swap_tokens, _swap_value, _swap_value, _indent,
    _put_word, _put_word, _cut, _reencode,
]  # fmt: skip
