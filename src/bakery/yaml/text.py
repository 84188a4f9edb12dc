"""YAML that people write: read with positions, so that an error can point at its line.

YAML 1.2: `1e-4` is a number, `on` and `2026-01-01` are text. Built from the parser's events, one
node at a time: nothing is ever constructed but mappings, lists, text, numbers, true, false and
null, and neither depth nor aliases can take more than the file is worth.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bakery.errors import ConfigError
from bakery.yaml import errors as yaml_errors

MAX_DEPTH = 64
MAX_NODES = 500_000
"""Values in a document, each counted as often as aliases repeat it."""
TEXT_OF_A_VALUE = 100
"""Characters of text that count as one value more."""

LONGEST_NUMBER = 100
"""Characters of a whole number."""

Place = tuple[int, int]
"""Line and column from 0, as the parser counts."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOT_TEXT = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class Map(dict[str, Any]):
    """A mapping, and where each of its keys and values stands."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_at: dict[str, Place] = {}
        self.values_at: dict[str, Place] = {}


class Listing(list[Any]):
    """A list, and where each of its items stands."""

    def __init__(self) -> None:
        super().__init__()
        self.items_at: list[Place] = []


def parse(text: str, source: str) -> Any:
    """Return the document (`Map`, `Listing`, or a scalar), or raise ConfigError with its place."""
    text = text.removeprefix("\ufeff")
    if strange := _NOT_TEXT.search(text):
        line = text.count("\n", 0, strange.start())
        column = strange.start() - text.rfind("\n", 0, strange.start()) - 1
        raise ConfigError(
            f"{source}:{line + 1}:{column + 1}: the character U+{ord(strange.group()):04X} "
            "is not text",
            hint="Delete it. Was the file saved in another encoding than UTF-8?",
        )
    try:
        return _Builder().build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise yaml_errors.syntax(error, text, source) from error
    except _RefusedError as refused:
        raise yaml_errors.pointed(
            refused.reason, refused.mark.line, refused.mark.column, text, source, refused.hint
        ) from refused
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}:1:1: this is not YAML: {error}") from error


def not_text(text: str) -> int | None:
    """Return where the first character stands that no YAML file may hold; None: there is none."""
    found = _NOT_TEXT.search(text)
    return found.start() if found else None


def plain(node: Any) -> Any:
    """Return the document as plain dicts, lists and scalars."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [plain(value) for value in node]
    return node


def position(document: Any, path: Sequence[Any], *, key: bool = False) -> tuple[int, int]:
    """Return the 1-based line and column of a path, or of the nearest thing that has one."""
    node, place = document, (0, 0)
    for index, part in enumerate(path):
        last = index == len(path) - 1
        if isinstance(node, Map) and part in node:
            places = node.keys_at if key or not last else node.values_at
            place = places[part]
        elif isinstance(node, Listing) and isinstance(part, int) and part < len(node):
            place = node.items_at[part]
        else:
            continue  # the name of a union's variant: no node of its own
        node = node[part]
    return place[0] + 1, place[1] + 1


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys of a document stand, as `input.yml:12:3`."""

    document: Any = None
    source: str = "input.yml"

    def at(self, *path: str | int, key: bool = False) -> str:
        """Return the place of a path's value, or of its key."""
        return "{}:{}:{}".format(self.source, *position(self.document, path, key=key))


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known name that a misspelt one most likely means."""
    matches = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.6)
    return matches[0] if matches else None


class _RefusedError(Exception):
    """YAML that is well formed, and not for a configuration."""

    def __init__(self, reason: str, mark: Any, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.mark, self.hint = reason, mark, hint


class _Open:
    """A mapping or list that is being read."""

    def __init__(self, event: Any, node: Any) -> None:
        self.node, self.anchor, self.mark = node, event.anchor, event.start_mark
        self.size = self.height = 1
        self.key: tuple[str | None, yaml.Mark] | None = None
        """The key whose value comes next (None in it: `<<`); None: a key comes next."""
        self.merged: list[Map] = []


class _Builder:
    """Turns events into a document; a stack in the place of recursion."""

    def __init__(self) -> None:
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        """A finished value, how many values are in it, and how deep it is."""
        self.open_anchors: set[str] = set()
        self.found: list[Any] = []

    def build(self, events: Iterator[Any]) -> Any:
        """Return the one document that the events are of."""
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and self.found:
                raise _RefusedError(
                    "another document begins here: a file holds one", event.start_mark
                )
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close()
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
        return self.found[0] if self.found else None

    def _open(self, event: Any) -> None:
        is_map = isinstance(event, yaml.MappingStartEvent)
        _check_tag(event, "map" if is_map else "seq")
        if len(self.stack) == MAX_DEPTH:
            raise _RefusedError(_TOO_DEEP, event.start_mark)
        if self.stack and isinstance(self.stack[-1].node, Map) and self.stack[-1].key is None:
            raise _RefusedError(_NO_KEY, event.start_mark)
        if event.anchor:
            self.open_anchors.add(event.anchor)
        self.stack.append(_Open(event, Map() if is_map else Listing()))

    def _close(self) -> None:
        done = self.stack.pop()
        for part in done.merged:
            _take_in(done.node, part)
        if done.anchor:
            self.open_anchors.discard(done.anchor)
            self.anchors[done.anchor] = (done.node, done.size, done.height)
        self._add(done.node, done.mark, done.size, done.height)

    def _scalar(self, event: Any) -> None:
        if self.stack and isinstance(self.stack[-1].node, Map) and self.stack[-1].key is None:
            is_merge = event.value == "<<" and not event.style and not event.tag
            self._key(None if is_merge else event.value, event.start_mark)
            return
        value = _value(event)
        size = 1 + len(event.value) // TEXT_OF_A_VALUE
        if event.anchor:
            self.anchors[event.anchor] = (value, size, 0)
        self._add(value, event.start_mark, size, 0)

    def _alias(self, event: Any) -> None:
        name, mark = event.anchor, event.start_mark
        if name in self.open_anchors:
            raise _RefusedError(f"*{name} refers to what it is a part of", mark)
        if name not in self.anchors:
            guess = nearest(name, list(self.anchors))
            advice = f": did you mean *{guess}?" if guess else ""
            raise _RefusedError(f"*{name} refers to nothing above{advice}", mark)
        value, size, height = self.anchors[name]
        if len(self.stack) + height > MAX_DEPTH:
            raise _RefusedError(_TOO_DEEP, mark)
        if self.stack and isinstance(self.stack[-1].node, Map) and self.stack[-1].key is None:
            if not isinstance(value, str):
                raise _RefusedError(_NO_KEY, mark)
            self._key(value, mark)
        else:
            self._add(value, mark, size, height)

    def _add(self, value: Any, mark: yaml.Mark, size: int, height: int) -> None:
        """Put a finished value where it belongs: the document, an item, the value of a key."""
        if not self.stack:
            self.found.append(value)
            return
        above = self.stack[-1]
        above.size += size
        above.height = max(above.height, height + 1)
        if above.size > MAX_NODES:
            raise _RefusedError(
                f"more than {MAX_NODES:,} values, counting what aliases repeat", mark
            )
        place = (mark.line, mark.column)
        if above.key is None:
            above.node.append(value)
            above.node.items_at.append(place)
            return
        (key, key_mark), above.key = above.key, None
        if key is not None:
            above.node[key] = value
            above.node.keys_at[key] = (key_mark.line, key_mark.column)
            above.node.values_at[key] = place
            return
        parts = value if isinstance(value, Listing) else [value]
        if not all(isinstance(part, Map) for part in parts):
            raise _RefusedError("`<<` takes a mapping, or a list of mappings", mark)
        above.merged += parts

    def _key(self, key: str | None, mark: yaml.Mark) -> None:
        node = self.stack[-1].node
        if key in node:
            line = node.keys_at[key][0] + 1
            raise _RefusedError(f"duplicate key `{key}`: it is already on line {line}", mark)
        self.stack[-1].key = (key, mark)


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_NO_KEY = "a key is text, not a list or a mapping"


def _take_in(node: Map, part: Map) -> None:
    """Take in what `<<` names; own keys win, and what came before."""
    for key, value in part.items():
        if key not in node:
            node[key] = value
            node.keys_at[key], node.values_at[key] = part.keys_at[key], part.values_at[key]


_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("null", re.compile(r"~|null|Null|NULL|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|[0-9][0-9_]*|0x[0-9a-fA-F_]+)")),
    (
        "float",
        re.compile(
            r"[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
    ),
)


def _value(event: Any) -> Any:
    """Return the value of a scalar: by its tag where it has one, else by its look."""
    tag = _check_tag(event, "null", "bool", "int", "float", "str")
    if tag == "str" or (tag is None and event.style):
        return event.value
    for kind, pattern in _KINDS:
        if tag in (None, kind) and pattern.fullmatch(event.value):
            try:
                return _number(kind, event.value)
            except ValueError:
                raise _RefusedError(
                    f"this number cannot be read ({len(event.value)} characters)",
                    event.start_mark,
                    "Text that looks like a number needs quotes around it.",
                ) from None
    if tag is not None:
        raise _RefusedError(f"`{event.value[:40]}` is not of the type !!{tag}", event.start_mark)
    return event.value


def _number(kind: str, text: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and len(text) > LONGEST_NUMBER:
        raise ValueError
    text = text.replace("_", "").lower()
    if kind == "float":
        return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text))
    digits = text.lstrip("+-")
    for prefix, base in (("0b", 2), ("0x", 16), ("0o", 8)):
        if digits.startswith(prefix):
            return int(digits[2:], base) * (-1 if text.startswith("-") else 1)
    return int(text)


def _check_tag(event: Any, *known: str) -> str | None:
    """Return the short name of a tag; None where there is none, or only `!`."""
    if event.tag in (None, "!"):
        return "str" if event.tag and "str" in known else None
    short = str(event.tag).removeprefix("tag:yaml.org,2002:")
    if short not in known:
        raise _RefusedError(f"the tag !{short.lstrip('!')} means nothing here", event.start_mark)
    return short
