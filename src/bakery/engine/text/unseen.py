"""What a prompt says that the chat template leaves out, found by rendering it without.

A tool that the template does not show, or a turn that it passes over, would be baked as if it
were there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError
from bakery.records import Message, Prompt

_QUESTION: Message = {"role": "user", "content": "?"}


def refuse_unseen(chat: Chat, prompt: Prompt, *, name: str, base: str) -> None:
    """Refuse a prompt of which the model would not see everything."""
    if missing := list(unseen(chat, prompt)):
        raise ConfigError(
            f"the chat template of {base} does not show {' and '.join(missing)} of {name}",
            hint="The model would never see it. Take it out, or start from a base model "
            "whose template shows it.",
        )


def unseen(chat: Chat, prompt: Prompt) -> Iterator[str]:
    """Yield the parts of a prompt that leave no trace in its ids."""
    whole = chat.prefix_ids(prompt, [_QUESTION])

    def is_same(other: Prompt) -> bool:
        try:
            return chat.prefix_ids(other, [_QUESTION]) == whole
        except ConfigError:  # without it the template refuses the rest: it is seen
            return False

    if prompt.tools and is_same(replace(prompt, tools=())):
        yield "the tools"
    for number, message in enumerate(prompt.messages):
        named = f"message {number} ({message['role']})"
        if not (message.get("content") or message.get("tool_calls")):
            continue
        if is_same(_with(prompt, number, [])):
            yield named
        elif message.get("tool_calls") and is_same(_with(prompt, number, [_mute(message)])):
            yield f"the tool calls in {named}"


def unseen_thoughts(chat: Chat, prompt: Prompt) -> Iterator[str]:
    """Yield the messages whose thoughts the template leaves out, as many do on purpose."""
    whole = chat.prefix_ids(prompt, [_QUESTION])
    for number, message in enumerate(prompt.messages):
        if not message.get("reasoning_content"):
            continue
        less = {key: value for key, value in message.items() if key != "reasoning_content"}
        if chat.prefix_ids(_with(prompt, number, [less]), [_QUESTION]) == whole:
            yield f"message {number}"


def _mute(message: Message) -> Message:
    """Return a message that calls nothing."""
    kept = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**kept, "content": kept.get("content") or ""}


def _with(prompt: Prompt, number: int, instead: Sequence[Message]) -> Prompt:
    messages = prompt.messages
    return replace(prompt, messages=(*messages[:number], *instead, *messages[number + 1 :]))
