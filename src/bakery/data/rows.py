"""What every data file becomes: conversations, with or without an answer.

Nothing here is rendered or tokenised; `conversations` does that.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bakery.records import Message


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation to learn from. `number` counts from 1 in its source, for messages.

    `turns` follow the prefix. They end with a user turn, which `response` answers (None: the
    teacher is asked), or with an assistant turn: then the targets are in `turns` themselves.
    """

    number: int
    turns: tuple[Message, ...]
    response: str | None = None
    prefix: tuple[Message, ...] | None = None
    """Its own context; None means the global one."""
    tools: tuple[dict[str, Any], ...] = ()
    system: str | None = None
    """Its own system prompt: its context where neither it nor the configuration names another."""
    unlearnt: tuple[int, ...] = ()
    """Which of the turns its source marks as none to learn from."""

    @property
    def needs_sampling(self) -> bool:
        """Whether the teacher has to answer first."""
        return self.response is None and self.turns[-1]["role"] != "assistant"

    @property
    def named(self) -> tuple[Message, ...]:
        """Its own system prompt as a message; none where it has none."""
        return () if self.system is None else ({"role": "system", "content": self.system},)

    def as_data(self) -> dict[str, Any]:
        """Return what is hashed: `system` and `unlearnt` only where there are any."""
        data = asdict(self)
        return {key: data[key] for key in data if key not in _ADDED or data[key]}


_ADDED = ("system", "unlearnt")
