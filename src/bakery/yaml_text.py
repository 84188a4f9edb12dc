"""YAML that people write: read with positions, so that an error can point at its line.

YAML 1.2 throughout: `1e-4` is a number, `on` a string. YAML that we write ourselves
(recipe.yml) is read elsewhere, with a faster loader.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bakery.errors import ConfigError

_BARE_KEY = re.compile(r"\s*(- )?[A-Za-z_]\w*\s*")

_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "takes letters, digits, `-`, `_` and `.`, and begins with a "
    "letter or digit",
}
"""What the patterns of a schema mean, for people."""


def parse(text: str, source: str) -> Any:
    """Return the document with its positions (ruamel's commented types), or a ConfigError."""
    loader = YAML(typ="rt")
    loader.version = (1, 2)
    try:
        return loader.load(text)
    except MarkedYAMLError as error:
        raise _syntax_error(error, text, source) from error
    except YAMLError as error:
        raise ConfigError(
            f"{source} is not YAML: {error}", hint="Is there a character in it that is no text?"
        ) from error


def plain(node: Any) -> Any:
    """Return the document as plain dicts, lists and scalars."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def validation_error(
    error: ValidationError, document: Any, source: str, model: type[BaseModel]
) -> ConfigError:
    """Return one ConfigError that lists every problem by line, column and path."""
    items = error.errors()
    # A list whose every item is wrong is also "too short" to pydantic: say only the cause.
    items = [
        i
        for i in items
        if i["type"] != "too_short"
        or not any(o is not i and o["loc"][: len(i["loc"])] == i["loc"] for o in items)
    ]
    items.sort(key=lambda i: position(document, i["loc"], key=i["type"] == "extra_forbidden"))
    lines = [_problem(item, document, source, model) for item in items]
    return ConfigError(
        "\n".join(dict.fromkeys(lines)), hint=f"Mend {source} and run the same command again."
    )


def position(document: Any, path: Sequence[Any], *, key: bool = False) -> tuple[int, int]:
    """Return the 1-based line and column of a path, or of the nearest thing that has one."""
    node, line, column = document, 0, 0
    for index, part in enumerate(path):
        last = index == len(path) - 1
        try:
            if isinstance(node, CommentedMap) and part in node:
                line, column = node.lc.key(part) if key or not last else node.lc.value(part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                line, column = node.lc.item(part)
            else:
                continue  # the name of a union's variant: no node of its own
        except KeyError:
            break
        node = node[part]
    return line + 1, column + 1


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
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _problem(item: Any, document: Any, source: str, model: type[BaseModel]) -> str:
    path = _written(document, item["loc"])
    unknown = item["type"] == "extra_forbidden"
    line, column = position(document, item["loc"], key=unknown)
    where = f"{source}:{line}:{column}"
    dotted = ".".join(str(part) for part in path)
    if not unknown:
        missing = item["type"] == "missing"
        name = ".".join(filter(None, [dotted, str(item["loc"][-1]) if missing else ""]))
        return f"{where}: {name}: {_sentence(item)}"
    known = _fields_at(model, item["loc"][:-1])
    name = dotted or str(item["loc"][-1])
    guess = nearest(str(item["loc"][-1]), known)
    advice = f"did you mean `{guess}`?" if guess else f"known here: {', '.join(sorted(known))}"
    return f"{where}: unknown key `{name}`: {advice}"


def _sentence(item: Any) -> str:
    if item["type"] == "missing":
        return "is required"
    if item["type"] in ("model_type", "dict_type"):
        return "expected keys with values here"
    if item["type"] == "union_tag_invalid":
        tag = str(item["ctx"]["tag"])
        known = item["ctx"]["expected_tags"].replace("'", "").split(", ")
        guess = nearest(tag, known)
        advice = f"did you mean `{guess}`?" if guess else f"known: {', '.join(known)}"
        return f"unknown type {tag!r}: {advice}"
    pattern = item.get("ctx", {}).get("pattern")
    text = _PATTERNS.get(pattern) or str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return text[:1].lower() + text[1:] + shown


def _written(document: Any, loc: Sequence[Any]) -> list[Any]:
    """Return the parts of a pydantic path that are keys or indices of the document itself."""
    node, found = document, []
    for part in loc:
        if (isinstance(node, Mapping) and part in node) or (
            isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node)
        ):
            node = node[part]
            found.append(part)
    return found


def _fields_at(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    """Return the keys that the schema knows at a path, through lists, maps and unions."""
    models = [model]
    for part in loc:
        step: list[type[BaseModel]] = []
        for candidate in models:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                step += _models_in(field.annotation)
        models = step or [m for m in models if _variant(m) in (None, part)] or models
    return [name for candidate in models for name in candidate.model_fields]


def _variant(model: type[BaseModel]) -> Any:
    """Return the value of a union member's `type` field, which names it in pydantic paths."""
    field = model.model_fields.get("type")
    values: tuple[Any, ...] = getattr(field.annotation, "__args__", ()) if field else ()
    return values[0] if len(values) == 1 else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]


def _syntax_error(error: MarkedYAMLError, text: str, source: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ConfigError(f"{source}: {error}")
    lines = text.splitlines()
    first, last = max(mark.line - 2, 0), min(mark.line + 2, len(lines) - 1)
    shown = []
    for number in range(first, last + 1):
        shown.append(f"{number + 1:>5} | {lines[number]}")
        if number == mark.line:
            shown.append(" " * 8 + " " * mark.column + "^")
    problem = (error.problem or str(error)).strip()
    message = f"{source}:{mark.line + 1}:{mark.column + 1}: {problem}\n" + "\n".join(shown)
    return ConfigError(message, hint=_syntax_hint(lines, mark.line, mark.column))


def _syntax_hint(lines: Sequence[str], number: int, column: int) -> str:
    """Return what most likely mends the place at which a text is no YAML."""
    near = [line for line in lines[max(number - 1, 0) : number + 1] if line.strip()]
    if any("\t" in line[: len(line) - len(line.lstrip())] for line in near):
        return "Indent with spaces: YAML takes no tabs."
    bare = next((line.strip() for line in near if _BARE_KEY.fullmatch(line)), None)
    ahead = lines[number][:column] if number < len(lines) else ""
    if bare and ":" not in ahead:
        return f"A key needs a colon behind it: `{bare}:`."
    return "Text that holds a colon or a # needs quotes around it."
