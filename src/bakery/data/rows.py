"""What every data file becomes: conversations, with or without an answer.

Nothing here is rendered or tokenised; `conversations` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    @property
    def needs_sampling(self) -> bool:
        """Whether the teacher has to answer first."""
        return self.response is None and self.turns[-1]["role"] != "assistant"
