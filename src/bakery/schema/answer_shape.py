"""The part of JSON Schema that an answer can be held to: said here, so that no key is passed over.

A schema with any other key is refused: a check that is not made would look as if it held.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = Mapping[str, Any]

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": lambda value: _is_number(value),
}

_ABOUT = ("$schema", "title", "description", "default", "examples")
"""Keys that say something and ask nothing."""
_TAKES: Mapping[str, str] = {
    "type": "the name of a type, or a list of such",
    "enum": "a list of values that JSON has",
    "const": "a value that JSON has",
    "properties": "schemas by the names of properties",
    "required": "a list of texts",
    "additionalProperties": "true, false or a schema",
    "items": "a schema",
    "minItems": "a count",
    "maxItems": "a count",
    "minLength": "a count",
    "maxLength": "a count",
    "minimum": "a number",
    "maximum": "a number",
    "anyOf": "a list of schemas",
    "allOf": "a list of schemas",
}
KNOWN = tuple(_TAKES)
"""The keys that are read."""


def problem(shape: Any, at: str = "") -> str:
    """Return what is wrong with a schema, as a sentence; "": nothing."""
    if not isinstance(shape, Mapping):
        return f"{at or 'it'} is no schema: expected keys with values"
    for key, value in shape.items():
        here = f"{at}.{key}" if at else str(key)
        if key in _ABOUT:
            continue
        if key not in _TAKES:
            return f"{here} is not read here; known: {', '.join(KNOWN)}"
        if not _is_taken(key, value):
            return f"{here} takes {_TAKES[key]}"
        for name, below in _below(key, value):
            if found := problem(below, f"{here}{name}"):
                return found
    return ""


def mismatch(value: Any, shape: Shape, at: str = "") -> str:
    """Return how a value is not as a schema wants it, as a sentence; "": it is."""
    here = at or "it"
    kinds = _listed(shape.get("type", []))
    if kinds and not any(_KINDS[kind](value) for kind in kinds):
        return f"{here} is {_shown(value)}, expected {' or '.join(kinds)}"
    if "enum" in shape and not any(_same(value, one) for one in shape["enum"]):
        return f"{here} is {_shown(value)}, expected one of {_shown(shape['enum'])}"
    if "const" in shape and not _same(value, shape["const"]):
        return f"{here} is {_shown(value)}, expected {_shown(shape['const'])}"
    if found := _size(value, shape, here):
        return found
    if isinstance(value, Mapping) and (found := _object(value, shape, at)):
        return found
    if isinstance(value, list) and "items" in shape:
        for number, item in enumerate(value):
            if found := mismatch(item, shape["items"], f"{at}[{number}]"):
                return found
    for part in shape.get("allOf", ()):
        if found := mismatch(value, part, at):
            return found
    ways = [mismatch(value, part, at) for part in shape.get("anyOf", ())]
    return ways[0] if ways and all(ways) else ""


def _object(value: Mapping[str, Any], shape: Shape, at: str) -> str:
    known, rest = shape.get("properties", {}), shape.get("additionalProperties", True)
    for name in shape.get("required", ()):
        if name not in value:
            return f"{at or 'it'} has no {name}"
    for name, item in value.items():
        below = known.get(name, rest)
        if below is False:
            return f"{at or 'it'} has {name}, which nothing asks for"
        path = f"{at}.{name}" if at else name
        if below is not True and (found := mismatch(item, below, path)):
            return found
    return ""


def _size(value: Any, shape: Shape, here: str) -> str:
    """Return what of a value is too much or too little."""
    measured: list[tuple[str, str, Any, str]] = []
    if isinstance(value, str):
        measured = [("minLength", "maxLength", len(value), " characters")]
    elif isinstance(value, list):
        measured = [("minItems", "maxItems", len(value), " items")]
    elif _is_number(value):
        measured = [("minimum", "maximum", value, "")]
    for least, most, size, unit in measured:
        if size < shape.get(least, size):
            return f"{here} has {size}{unit}, expected at least {shape[least]}"
        if size > shape.get(most, size):
            return f"{here} has {size}{unit}, expected at most {shape[most]}"
    return ""


def _is_taken(key: str, value: Any) -> bool:
    if key == "type":
        kinds = _listed(value)
        return bool(kinds) and all(isinstance(kind, str) and kind in _KINDS for kind in kinds)
    if key in ("enum", "const") and not _is_json(value):
        return False
    if key in ("enum", "anyOf", "allOf"):
        return isinstance(value, list) and bool(value)
    if key == "required":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if key == "properties":
        return isinstance(value, Mapping)
    if key.endswith(("Items", "Length")):
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return key not in ("minimum", "maximum") or _is_number(value)


def _below(key: str, value: Any) -> Sequence[tuple[str, Any]]:
    """Return the schemas within a key's value, each with its place in it."""
    if key == "properties":
        return [(f".{name}", shape) for name, shape in value.items()]
    if key in ("anyOf", "allOf"):
        return [(f"[{number}]", shape) for number, shape in enumerate(value)]
    is_one = key == "items" or (key == "additionalProperties" and not isinstance(value, bool))
    return [("", value)] if is_one else []


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_number(value: Any) -> bool:
    """Tell whether JSON has it as a number: it has none that is not finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_json(value: Any) -> bool:
    """Tell whether an answer could hold it: YAML has dates, and numbers that are not finite."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _is_json(below) for k, below in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does, at every depth: 1 is not true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
