"""Values as people write them, turned into what the type of a field asks for.

`"5e-2"` for a float, `"0.5"` for a fraction of an epoch, JSON for a list: a file and a flag
are read by the same rules. Which value makes sense is decided in `checks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from bakery.errors import ConfigError
from bakery.yaml import text as yaml_text

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_RANK: tuple[Any, ...] = (bool, int, float, dict, str, list)
_NAMES = {bool: "BOOL", int: "INT", float: "FLOAT", str: "TEXT", dict: "JSON", list: "LIST"}


def typed(value: Any, hint: Any) -> Any:
    """Return the value as the type says, or raise a ValueError that names what was expected."""
    options = variants(hint)
    if value is None or _says_nothing(value, options):
        if NoneType in options or hint is Any:
            return None
        raise ValueError("needs a value")
    if hint is Any:
        return value
    options = [option for option in options if option is not NoneType]
    enums = [option for option in options if isinstance(option, type) and issubclass(option, Enum)]
    problems: list[str] = []
    for option in enums or sorted(options, key=lambda option: _rank(option, value)):
        try:
            return _as_one(value, option)
        except ValueError as error:
            problems.append(str(error))
    raise ValueError(problems[-1 if isinstance(value, str) else 0])


def variants(hint: Any) -> list[Any]:
    """Return the members of a union, or the type itself."""
    if get_origin(hint) in (Union, UnionType):
        return [inner for part in get_args(hint) for inner in variants(part)]
    return [hint]


def takes(hint: Any, kind: type) -> bool:
    """Tell whether a type accepts this plain kind of value."""
    return any((get_origin(option) or option) is kind for option in variants(hint))


def type_name(hint: Any) -> str:
    """Return what the help shows in the place of a value."""
    options = [option for option in variants(hint) if option is not NoneType]
    enums = [o for o in options if isinstance(o, type) and issubclass(o, Enum)]
    if enums:
        return "NAME"
    kinds = [get_origin(option) or option for option in options]
    return "|".join(dict.fromkeys(_NAMES[kind] for kind in kinds if kind in _NAMES)) or "VALUE"


def structured(text: str) -> Any:
    """Return what a JSON (or YAML flow) text holds, or raise a ValueError."""
    try:
        return yaml_text.plain(yaml_text.parse(text, "the value"))
    except ConfigError as error:
        raise ValueError(f"expected JSON, got {_short(text)}") from error


def _says_nothing(value: Any, options: list[Any]) -> bool:
    if not isinstance(value, str) or NoneType not in options:
        return False
    return value == "null" or (value in ("none", "None") and str not in options)


def _rank(option: Any, value: Any) -> int:
    kind = get_origin(option) or option
    if kind is list and (not isinstance(value, str) or value.lstrip().startswith("[")):
        return -1
    return _RANK.index(kind) if kind in _RANK else len(_RANK)


def _as_one(value: Any, option: Any) -> Any:
    kind = get_origin(option) or option
    if kind is Literal:
        if value in get_args(option):
            return value
        raise ValueError(f"expected one of {get_args(option)}, got {_short(value)}")
    if kind is list:
        return _as_list(value, (get_args(option) or (Any,))[0])
    if kind in _READERS:
        return _READERS[kind](value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _as_member(value, kind)
    raise ValueError(f"can only be given from Python, as {getattr(kind, '__name__', kind)}")


def _as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, str | int) else ""
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise ValueError(f"expected true or false, got {_short(value)}")


def _as_int(value: Any) -> int:
    number = _as_float(value, "a whole number")
    if not number.is_integer():
        raise ValueError(f"expected a whole number, got {_short(value)}")
    return value if isinstance(value, int) else int(number)


def _as_float(value: Any, expected: str = "a number") -> float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"expected {expected}, got {_short(value)}")


def _as_text(value: Any) -> str:
    if isinstance(value, bool | list | dict):
        raise ValueError(f"expected text, got {_short(value)}")
    return str(value)


def _as_dict(value: Any) -> dict[str, Any]:
    found = structured(value) if isinstance(value, str) and value[:1] == "{" else value
    if isinstance(found, Mapping):
        return dict(found)
    raise ValueError(f"expected keys with values, got {_short(value)}")


def _as_list(value: Any, item: Any) -> list[Any]:
    found = value
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            found = structured(value)
        elif takes(item, str):
            found = [value]
    if not isinstance(found, list | tuple):
        raise ValueError(f"expected a list, got {_short(value)}")
    try:
        return [typed(part, item) for part in found]
    except ValueError as error:
        raise ValueError(f"in the list: {error}") from error


def _as_member(value: Any, kind: type[Enum]) -> Enum:
    known = [str(member.value) for member in kind]
    if str(value) in known:
        return kind(value)
    raise ValueError(unknown_name(str(value), known))


def unknown_name(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Return what to say about a word that is not a known one."""
    guess = yaml_text.nearest(name, known)
    advice = f"did you mean `{guess}`?" if guess else f"known: {', '.join(known)}"
    return f"unknown value {name!r}: {advice}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_READERS: dict[Any, Callable[[Any], Any]] = {
    bool: _as_bool,
    int: _as_int,
    float: _as_float,
    str: _as_text,
    dict: _as_dict,
    Any: lambda value: value,
}
