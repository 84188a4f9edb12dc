"""The marks that templates put around a thought, by how they are written in the known ones."""

from __future__ import annotations

import re

_SIGN = re.compile(r"think|thought|reason|analysis", re.IGNORECASE)
_WORD = r"(?:\w*:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?)"
_OPENED = re.compile(
    rf"(?:<\|?{_WORD}\|?>|\[{_WORD}\]|<\|start_{_WORD}\|>|<\|channel\|?>(?:analysis|thought)\S*)\s*\Z",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    rf"""\s*(?:
      <(\|?){_WORD}\1>\s*<(?:\|/|/\||/){_WORD}\1>
    | \[{_WORD}\]\s*\[/{_WORD}\]
    | <\|start_{_WORD}\|>\s*<\|end_{_WORD}\|>
    | <\|channel>thought\s*<channel\|>
    )\s*""",
    re.IGNORECASE | re.VERBOSE,
)


def is_of_thought(text: str) -> bool:
    """Tell whether what a template adds speaks of thinking."""
    return bool(_SIGN.search(text))


def opened(text: str) -> str:
    """Return the mark that opens a thought at the end of a text, with space behind; "": none."""
    found = _OPENED.search(text)
    return found.group() if found else ""


def closing(mark: str) -> str:
    """Return the mark that closes what another one opens."""
    return f"{mark[0]}/{mark[1:]}"


def empty_at(text: str, at: int) -> int:
    """Return where an empty thought at a place ends; the place itself: there is none."""
    found = _EMPTY.match(text, at)
    return found.end() if found else at


def ends_shut(text: str) -> bool:
    """Tell whether a text ends with an empty thought."""
    return any(found.end() == len(text) for found in _EMPTY.finditer(text))
