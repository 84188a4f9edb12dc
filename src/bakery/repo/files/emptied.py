"""input.yml after its bake: every line kept, nothing active.

The configuration stays readable, and is there to be uncommented for the next bake.
"""

from __future__ import annotations

import re

# All that some YAML reader ends a line at: a comment must end nowhere else.
_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029]|$)")

_ENDS = "\r\n\x85\u2028\u2029"

_BYTE_ORDER_MARK = "\ufeff"


def emptied(text: str) -> str:
    """Return the text with every active line commented out; blank and comment lines as they are."""
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    lines = _LINE.findall(text[len(mark) :])
    # A tab is no indentation to YAML: such a line gets the sign, too.
    return mark + "".join(f"# {line}" if _says(line, blank=" ") else line for line in lines)


def has_active_lines(text: str) -> bool:
    """Tell whether a file says anything beyond blank and comment lines."""
    lines = _LINE.findall(text.removeprefix(_BYTE_ORDER_MARK))
    return any(_says(line, blank=" \t") for line in lines)


def _says(line: str, *, blank: str) -> bool:
    bare = line.rstrip(_ENDS).lstrip(blank)
    return bool(bare) and not bare.startswith("#")
