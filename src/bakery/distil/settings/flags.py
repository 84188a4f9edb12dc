"""A command line taken apart: `--field value`, `--field=value`, `--field`, `--no_field`.

How many words belong to a flag depends on the type of its field; what they mean is for `typed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakery.errors import ConfigError
from bakery.settings.typed import FALSE, TRUE, takes
from bakery.yaml import text as yaml_text


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: the field it sets, the words it gives, and how it was spelled."""

    name: str
    value: Any
    spelled: str


def read(argv: Sequence[str], types: Mapping[str, Any]) -> list[Flag]:
    """Return the flags in order, or one ConfigError that lists all that are unknown."""
    found: list[Flag] = []
    problems: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            problems.append(_stray(word))
            continue
        spelled, equals, value = word.partition("=")
        name, off = _field(spelled, types)
        if name is None:
            problems.append(_unknown(spelled, types))
            while not equals and rest and not rest[0].startswith("--"):
                rest.pop(0)
        elif off:
            found.append(Flag(name, False, spelled))
            if equals:
                problems.append(f"{spelled} takes no value")
        elif equals:
            found.append(Flag(name, value, spelled))
        else:
            found.append(Flag(name, _words(spelled, types[name], rest), spelled))
    if problems:
        raise ConfigError("\n".join(problems), hint="`bakery --help` lists every flag.")
    return found


def _field(spelled: str, types: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the field that a flag names, and whether the flag turns it off."""
    name = spelled.removeprefix("--").replace("-", "_")
    if name in types:
        return name, False
    positive = name.removeprefix("no_")
    if positive != name and positive in types and takes(types[positive], bool):
        return positive, True
    return None, False


def _words(spelled: str, hint: Any, rest: list[str]) -> Any:
    """Take the words that belong to a flag off the rest of the line."""
    follows = bool(rest) and not rest[0].startswith("--")
    if takes(hint, bool):
        text = takes(hint, str)
        if follows and (text or rest[0].lower() in (*TRUE, *FALSE, "null", "none")):
            return rest.pop(0)
        return True
    if not follows:
        raise ConfigError(
            f"{spelled} needs a value", hint=f"A value that begins with --: {spelled}=--value"
        )
    if not takes(hint, list):
        return rest.pop(0)
    words = []
    while rest and not rest[0].startswith("--"):
        words.append(rest.pop(0))
    return words[0] if len(words) == 1 else words


def _stray(word: str) -> str:
    if word.endswith((".yaml", ".yml")):
        return f"unexpected {word!r}: a configuration is given as --config {word}"
    return f"unexpected {word!r}: settings are given as --field value"


def _unknown(spelled: str, types: Mapping[str, Any]) -> str:
    name = spelled.removeprefix("--").replace("-", "_")
    guess = yaml_text.nearest(name, list(types))
    return f"unknown flag {spelled}" + (f": did you mean --{guess}?" if guess else "")
