"""Text of others on a terminal: what would steer it is shown instead of obeyed.

Names, prompts and answers may come with a stranger's repository, or be what a model says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NOT_IN_JSON = re.compile(r"[\x7f-\x9f]")


def harmless(text: str) -> str:
    """Return text with its control characters spelled out; line ends and tabs stay."""
    return _STEERING.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def harmless_json(text: str) -> str:
    """Return JSON that says the same without the control characters that JSON allows."""
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class HarmlessConsole(Console):
    """A console that styles text itself, and lets no text do so."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is printed."""
        for segment in super().render(renderable, options):
            if segment.control or not _STEERING.search(segment.text):
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)
