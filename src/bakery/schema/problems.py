"""What is wrong with a file, in sentences, each with its line and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from bakery.brief import first
from bakery.errors import ConfigError
from bakery.schema.common import Path
from bakery.yaml.text import Places, nearest, position

_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "takes letters, digits, `-`, `_` and `.`, and begins with a "
    "letter or digit",
}
"""What the patterns of a schema mean, for people."""

_EXPECTED = {
    "model_type": "keys with values here",
    "dict_type": "keys with values here",
    "tuple_type": "a list (`- ` before each item)",
    "list_type": "a list (`- ` before each item)",
    "string_type": "text (put quotes around it)",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""Kinds of values by the type of a pydantic error."""


_MISSING = "is required"


class Problems:
    """Collects what is wrong, so that all of it is said at once."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.hint = f"Fix {places.source} and run the same command again."
        self.called: Mapping[Path, str] = {}
        """What people call an item of a list, by its path: there it has a number from 0."""
        self.unfilled: set[Path] = set()
        """Sections whose template is not there: what they lack may be in it."""
        self._found: dict[str, tuple[int, int]] = {}
        self._hints: dict[str, str] = {}
        self._sections: set[str | int] = set()

    def add(
        self, sentence: str, *path: str | int, key: bool = False, hint: str | None = None
    ) -> None:
        """Note a problem at a path. `hint` None: the file is to be fixed."""
        line, column = position(self.places.document, path, key=key)
        name = self.called.get(path[:2])
        whose = f" (in {name})" if name else ""
        told = f"{self.places.source}:{line}:{column}: {sentence}{whose}"
        self._found.setdefault(told, (line, column))
        if hint:
            self._hints[told] = hint
        self._sections.update(path[:1])

    def add_errors(self, error: ValidationError, model: type[BaseModel], within: Path = ()) -> None:
        """Note what a model of the file says of what is within a path.

        Left out is what stands where something is known to be wrong already.
        """
        before = set(self._found.values())
        for path, key, sentence in _sentences(error, self.places.document, model, within):
            section = path[:2] if len(path) > 1 else (*path, 0)
            if sentence.endswith(_MISSING) and section in self.unfilled:
                continue
            if position(self.places.document, path, key=key) not in before:
                self.add(sentence, *path, key=key)

    def are_in(self, section: str) -> bool:
        """Tell whether something is wrong in a section."""
        return section in self._sections

    def raise_any(self) -> None:
        """Raise one ConfigError that lists what was found, in the order of the file."""
        if self._found:
            lines = sorted(self._found, key=lambda line: self._found[line])
            hints = dict.fromkeys(self._hints.get(line, self.hint) for line in lines)
            raise ConfigError(first(lines, self.places.source), hint=" ".join(hints))


def advice(word: str, known: Sequence[str]) -> str:
    """Return the name that a misspelt one most likely means, else all that are known."""
    guess = nearest(word, known)
    return f"did you mean `{guess}`?" if guess else f"known: {', '.join(known) or 'none'}"


def _sentences(
    error: ValidationError, document: Any, model: type[BaseModel], within: Path
) -> list[tuple[Path, bool, str]]:
    """Return path, whether its key is meant, and sentence of every problem."""
    items: list[Any] = [
        {**item, "loc": (*within, *item["loc"])} for item in error.errors(include_url=False)
    ]
    written = [_written(document, item["loc"]) for item in items]
    found: dict[tuple[Path, bool], list[str]] = {}
    for item, path in zip(items, written, strict=True):
        if _is_explained(item, path, items, written):
            continue
        if item["type"] == "extra_forbidden":
            found.setdefault((path, True), []).append(_unknown(item, path, model))
            continue
        missing = item["type"] == "missing"
        name = ".".join(str(part) for part in ((*path, item["loc"][-1]) if missing else path))
        told = found.setdefault((path, item["loc"][-1] == "[key]"), [])
        if item["type"] in _EXPECTED and (before := _alternative(told)) is not None:
            told[before] = told[before].replace(" (got ", f" or {_EXPECTED[item['type']]} (got ")
        else:
            told.append(f"{name}: {_sentence(item)}")
    return [(path, key, sentence) for (path, key), told in found.items() for sentence in told]


def _alternative(told: Sequence[str]) -> int | None:
    """Return which sentence says what was expected here, for a value that may be one of several."""
    return next(
        (
            i
            for i, sentence in enumerate(told)
            if ": expected " in sentence and " (got " in sentence
        ),
        None,
    )


def _is_explained(item: Any, path: Path, items: Sequence[Any], written: Sequence[Path]) -> bool:
    """Tell whether another problem, deeper in the same value, is the cause of this one.

    A list whose every item is wrong is also "too short", and a mapping whose key is wrong is
    also no text where both may stand.
    """
    if item["type"] != "too_short" and item["type"] not in _EXPECTED:
        return False
    return any(
        other is not item and len(deeper) > len(path) and deeper[: len(path)] == path
        for other, deeper in zip(items, written, strict=True)
    )


def _unknown(item: Any, path: Path, model: type[BaseModel]) -> str:
    known = sorted(set(_fields_at(model, item["loc"][:-1])))
    name = ".".join(str(part) for part in path) or str(item["loc"][-1])
    guess = nearest(str(item["loc"][-1]), known)
    meant = f"did you mean `{guess}`?" if guess else f"known here: {', '.join(known)}"
    return f"unknown key `{name}`: {meant}"


def _sentence(item: Any) -> str:
    kind, given = item["type"], item.get("input")
    if kind == "missing":
        return _MISSING
    if kind == "union_tag_invalid":
        known = item["ctx"]["expected_tags"].replace("'", "").split(", ")
        tag = str(item["ctx"]["tag"])
        return f"unknown type {tag!r:.60}: {advice(tag, known)}"
    if kind == "union_tag_not_found":
        return "`type` is required"
    if kind == "literal_error":
        known = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{given!r:.60} is not known: {advice(str(given), known)}"
    pattern = item.get("ctx", {}).get("pattern")
    if kind in _EXPECTED:
        text = f"expected {_EXPECTED[kind]}"
    elif kind == "too_short":
        text = "must not be empty"
    else:
        text = _PATTERNS.get(pattern) or str(item["msg"]).removeprefix("Value error, ")
        text = text[:1].lower() + text[1:]
    shown = f" (got {given!r:.60})" if isinstance(given, str | int | float | bool) else ""
    return text + shown


def _written(document: Any, loc: Sequence[Any]) -> Path:
    """Return the parts of a pydantic path that are keys or indices of the document itself."""
    node, found = document, []
    for part in loc:
        if (isinstance(node, Mapping) and part in node) or (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        ):
            node = node[part]
            found.append(part)
    return tuple(found)


def _fields_at(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """Return the keys that the schema knows at a path, through lists, maps and unions."""
    models = [model]
    for part in loc:
        step: list[type[BaseModel]] = []
        for candidate in models:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                step += models_in(field.annotation)
        models = step or [m for m in models if _variant(m) in (None, part)] or models
    return [name for candidate in models for name in candidate.model_fields]


def _variant(model: type[BaseModel]) -> Any:
    """Return the value of a union member's `type` field, which names it in pydantic paths."""
    field = model.model_fields.get("type")
    values: tuple[Any, ...] = getattr(field.annotation, "__args__", ()) if field else ()
    return values[0] if len(values) == 1 else None


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return every model that a field's annotation holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    checked = [m.model for m in getattr(annotation, "__metadata__", ()) if hasattr(m, "model")]
    return checked or [m for a in getattr(annotation, "__args__", ()) for m in models_in(a)]
