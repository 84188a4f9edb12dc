"""`{name}` in a prompt, filled by the row that a question comes from.

Only what rows have a value for is a variable; all other braces are text, as in JSON and code.
`{{name}}` is how `{name}` is written where it is one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any, TypeAlias

from bakery.records import Message, Prompt

Values: TypeAlias = Mapping[str, str]
"""What a row says in the place of each variable."""

_BRACED = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


def named(*prompts: Prompt) -> dict[str, bool]:
    """Return the names that stand in braces, in their order, and whether any is to be filled.

    One that only stands in double braces is not.
    """
    found: dict[str, bool] = {}
    for prompt in prompts:
        for text in _texts(prompt):
            for match in _BRACED.finditer(text):
                name = match[1] or match[2]
                found[name] = found.get(name, False) or match[1] is None
    return found


def fill(text: str, values: Values) -> str:
    """Return a text with each variable's value in its place, and `{name}` for `{{name}}`."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            return match[0]
        return values[name] if match[1] is None else f"{{{name}}}"

    return _BRACED.sub(value, text)


def filled(prompt: Prompt, values: Values | None) -> Prompt:
    """Return a prompt as it is in front of a question of a row; `values` None: as it stands."""
    if not values:
        return prompt
    return Prompt(tuple(_filled(message, values) for message in prompt.messages), prompt.tools)


def sides(target: Mapping[str, Any]) -> tuple[Prompt, Prompt]:
    """Return the teacher's and the student's prompt of a recorded target, where one is to be shown.

    Of variables that is the prompt of its first row.
    """
    values = target.get("variables")
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    return filled(teacher, values), filled(student, values)


def without_names(text: str, names: Iterable[str]) -> str:
    """Return a text with nothing in the place of variables: what it says for every row."""
    return fill(text, dict.fromkeys(names, ""))


def shown(values: Values) -> str:
    """Return what a row says, for people."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def as_text(value: Any) -> str | None:
    """Return a value as it stands in a prompt; None: it is none. TypeError: it is no text."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _texts(prompt: Prompt) -> Iterator[str]:
    for message in prompt.messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, list | tuple):
            yield from (part["text"] for part in content)


def _filled(message: Message, values: Values) -> Message:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": fill(content, values)}
    if isinstance(content, list | tuple):
        return {**message, "content": [{**p, "text": fill(p["text"], values)} for p in content]}
    return message
