"""What is wrong with text that is not YAML: where, in words, and the most likely fix."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from bakery.errors import ConfigError

_TOLD = {
    "found character that cannot start any token": "nothing can begin with this character: text "
    "that does needs quotes around it",
    "mapping values are not allowed in this context": "mapping values are not allowed here: is "
    "this colon part of a text, or the line indented too far?",
    "did not find expected <document start>": "this, or what is above it, is not a key: is a "
    "`#` missing in front of it, or a colon behind it?",
    "did not find expected key": "expected a key, as in the lines above: is this indented as they "
    "are?",
    "did not find expected '-' indicator": "expected `- `, as in the items above",
    "could not find expected ':'": "expected a colon behind a key",
    "did not find expected ',' or ']'": "expected `,` or `]`: this list is not closed",
    "did not find expected ',' or '}'": "expected `,` or `}`: this mapping is not closed",
    "found unexpected end of stream": "this text never ends: a closing quote is missing",
    "found unknown escape character": "a backslash in double quotes begins an escape, and none has "
    "this name",
}
"""What the parser's sentences mean, for people."""

_BARE_KEY = re.compile(r"\s*(- )?[A-Za-z_]\w*\s*")
_QUOTED = re.compile(r"""(?:^|[\s\[{,])(?:"(?:[^"\\]|\\.)*(")|'(?:[^']|'')*('))\s*$""")
"""A quoted text that ends a line, with its closing quote."""


def syntax(error: yaml.MarkedYAMLError, text: str, source: str) -> ConfigError:
    """Return what to say of a text that the parser refused."""
    problem = (error.problem or str(error)).strip()
    mark = error.problem_mark or error.context_mark
    if problem == "found unexpected end of stream":
        mark = error.context_mark or mark  # where the text began
    line, column = (mark.line, mark.column) if mark else (0, 0)
    ahead = text.split("\n")[line][:column] if line <= text.count("\n") else ""
    if problem in _AFTER_A_VALUE and (quoted := _QUOTED.search(ahead)):
        quote = quoted[1] or quoted[2]
        said = f"more text behind a closing {quote}"
        return pointed(said, line, column, text, source, _QUOTES[quote])
    hint = _HINTS.get(problem)
    if problem == "did not find expected key" and not ahead.strip():
        hint = "Begin the line with as many spaces as the keys it belongs to."
    return pointed(_TOLD.get(problem, problem), line, column, text, source, hint)


_AFTER_A_VALUE = (
    "did not find expected key",
    "did not find expected '-' indicator",
    "did not find expected <document start>",
    "did not find expected ',' or ']'",
    "did not find expected ',' or '}'",
)
_BLOCK = "or write the text as a block: `content: |`, and the text in the lines below, indented."
_QUOTES = {
    '"': f'Inside "…" a quote is written \\", {_BLOCK}',
    "'": f"Inside '…' an apostrophe is written '', {_BLOCK}",
}
_HINTS = {
    "found unexpected end of stream": "Close it with the quote that it begins with.",
    "found unknown escape character": "Write \\\\ for a backslash, or put the text into single "
    "quotes.",
}


def pointed(
    problem: str, line: int, column: int, text: str, source: str, hint: str | None = None
) -> ConfigError:
    """Return an error that shows the lines around it, with a caret."""
    lines = text.split("\n")
    if line >= len(lines) or (line == len(lines) - 1 and not lines[line] and line > 0):
        line = max(index for index, written in enumerate(lines) if written or not index)
        column = len(lines[line])
    first, last = max(line - 2, 0), min(line + 2, len(lines) - 1)
    shown = []
    for number in range(first, last + 1):
        start = max(column - _WIDE // 2, 0) if number == line else 0
        shown.append(f"{number + 1:>5} | {lines[number][start : start + _WIDE]}".rstrip())
        if number == line:
            shown.append(" " * (8 + column - start) + "^")
    message = f"{source}:{line + 1}:{column + 1}: {problem}\n" + "\n".join(shown)
    return ConfigError(message, hint=hint or _syntax_hint(lines, line, column))


_WIDE = 120
"""Characters that are shown of a long line."""


def _syntax_hint(lines: Sequence[str], number: int, column: int) -> str:
    """Return the most likely fix for the place at which a text is not YAML."""
    near = [line for line in lines[max(number - 1, 0) : number + 1] if line.strip()]
    if any("\t" in line[: len(line) - len(line.lstrip())] for line in near):
        return "Indent with spaces: YAML takes no tabs."
    bare = next((line.strip() for line in near if _BARE_KEY.fullmatch(line)), None)
    ahead = lines[number][:column] if number < len(lines) else ""
    if bare and ":" not in ahead:
        return f"A key needs a colon behind it: `{bare}:`."
    return "Text that holds a colon or a # needs quotes around it."
