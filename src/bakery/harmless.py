"""Text of others as it is shown: what would steer a terminal is spelled out instead of obeyed.

Names, prompts and answers may come with a stranger's repository, or be what a model says. What is
read in a pipe is read on a terminal in the end; only files of data stay as they are.
"""

from __future__ import annotations

import re

_TURNING = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What turns the direction of writing: a line may read as something else than it says."""
STEERING = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_TURNING}]")
_NOT_IN_JSON = re.compile(rf"[\x7f-\x9f{_TURNING}]")


def harmless(text: str) -> str:
    """Return text with its control characters spelled out; line ends and tabs stay."""
    return STEERING.sub(_spelled, text.replace("\r\n", "\n"))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def harmless_json(text: str) -> str:
    """Return JSON that says the same without the control characters that JSON allows."""
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
