"""Regular expressions that people write: some find out only after years that they do not match."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bakery import bounded
from bakery.errors import ConfigError


def spans(pattern: re.Pattern[str], text: str, *, name: str) -> list[tuple[int, int]]:
    """Return where a pattern matches; `name` is the setting it comes from."""
    found = _bounded(_spans, pattern.pattern, text, name, pattern.flags)
    return [(start, stop) for start, stop in found]


def check_names(pattern: str, names: Sequence[str], *, name: str) -> None:
    """Refuse a pattern that would never be through with some names, before PEFT tries it."""
    _bounded(_match_all, pattern, list(names), name, 0)


def _bounded(
    work: object, pattern: str, text: str | list[str], name: str, flags: int
) -> list[list[int]]:
    try:
        return list(bounded.call(work, pattern, flags, text) or ())  # type: ignore[arg-type]
    except bounded.FailedError as error:
        raise ConfigError(
            f"{name}: {pattern!r:.200} is no regular expression: {error}",
            hint="Python's `re` has to take it; names without signs of patterns may be a list.",
        ) from error
    except bounded.BeyondError as error:
        what = f"a text of {len(text)} characters" if isinstance(text, str) else "layers' names"
        raise ConfigError(
            f"{name}: {pattern!r:.200} is not through with {what}: {error}",
            hint="A repetition within a repetition, as in `(a+)+`, tries every way to part a text: "
            "write it without.",
        ) from error


def _spans(pattern: str, flags: int, text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.compile(pattern, flags).finditer(text)]


def _match_all(pattern: str, flags: int, names: list[str]) -> None:
    expression = re.compile(pattern, flags)
    for one in names:
        expression.fullmatch(one)
