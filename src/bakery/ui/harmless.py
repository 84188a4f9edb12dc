"""A console on which no text of others steers the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bakery.harmless import STEERING
from bakery.harmless import harmless as harmless
from bakery.harmless import harmless_json as harmless_json


class HarmlessConsole(Console):
    """A console that styles text itself, and lets no text do so."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is printed."""
        for segment in super().render(renderable, options):
            if segment.control or not STEERING.search(segment.text):
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)
