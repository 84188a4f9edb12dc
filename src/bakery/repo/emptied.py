"""input.yml after its bake: every line kept, nothing active.

The configuration stays readable, and is there to be uncommented for the next bake.
"""

from __future__ import annotations

import re

# All that some YAML reader ends a line at: a comment must end nowhere else.
_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*(?:\r\n|[\r\n\x85\u2028\u2029]|$)")

_BYTE_ORDER_MARK = "\ufeff"


def emptied(text: str) -> str:
    """Return the text with every active line commented out; blank and comment lines as they are."""
    mark = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    lines = _LINE.findall(text[len(mark) :])
    return mark + "".join(f"# {line}" if _is_active(line) else line for line in lines)


def has_active_lines(text: str) -> bool:
    """Tell whether a file says anything beyond blank and comment lines."""
    return any(_is_active(line) for line in _LINE.findall(text.removeprefix(_BYTE_ORDER_MARK)))


def _is_active(line: str) -> bool:
    bare = line.strip()
    return bool(bare) and not bare.startswith("#")
