"""`PROMPT`: named lists of chat messages, with the tools that a template may show."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from bakery import yaml_text
from bakery.records import Message, Prompt
from bakery.schema.common import Name, Section

ROLES = ("system", "developer", "user", "assistant", "tool")

TEACHER, STUDENT = "teacher", "student"
"""The prompts that a target takes where it names none."""


class PromptSection(Section):
    """One named prompt: `PROMPT.teacher`, `PROMPT.student`."""

    name: Name | None = None
    messages: tuple[Message, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()

    @field_validator("messages")
    @classmethod
    def _are_messages(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        for number, message in enumerate(messages):
            if not isinstance(message.get("role"), str) or not message["role"]:
                raise ValueError(f"message {number} has no role")
            if message["role"] not in ROLES:
                guess = yaml_text.nearest(message["role"], ROLES)
                advice = f"did you mean `{guess}`?" if guess else f"known: {', '.join(ROLES)}"
                raise ValueError(f"message {number} has the role {message['role']!r}: {advice}")
            content = message.get("content")
            if content is not None and not isinstance(content, str | list):
                raise ValueError(f"the content of message {number} is not text")
        return messages

    def prompt(self) -> Prompt:
        """Return the messages as authored; a lone empty system message means "no prompt"."""
        empty = [m for m in self.messages if m["role"] == "system" and not m.get("content")]
        kept = () if len(empty) == len(self.messages) else self.messages
        return Prompt(kept, self.tools)
