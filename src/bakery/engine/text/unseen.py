"""What a prompt says that the chat template leaves out, found by rendering it without.

A tool that the template does not show, or a turn that it passes over, would be baked as if it
were there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bakery.engine.text import messages as spelling
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
        if spelling.thought_key(message) is None:
            continue
        less = {key: value for key, value in message.items() if key not in spelling.THOUGHTS}
        if chat.prefix_ids(_with(prompt, number, [less]), [_QUESTION]) == whole:
            yield f"message {number}"


def hides_thoughts(
    chat: Chat,
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]],
    learnt: Collection[int] = (),
) -> bool:
    """Tell whether a thought in a conversation's context leaves no trace in its text."""
    whole = None
    for number, message in enumerate(messages):
        if number in learnt or spelling.thought_key(message) is None:
            continue
        whole = whole or chat.rendered(messages, tools)
        less = {key: value for key, value in message.items() if key not in spelling.THOUGHTS}
        if _is_text(chat, [*messages[:number], less, *messages[number + 1 :]], tools, whole):
            return True
    return False


def unseen_in(
    chat: Chat,
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]],
    learnt: Collection[int] = (),
) -> list[str]:
    """Return what of a conversation leaves no trace in its text, but for what is `learnt`.

    One rendering with a sign behind everything finds what may be missing; only that is looked at
    by itself, left out.
    """
    signs = (chr(code) for code in range(0x10FFFD, 0xF0000, -1))
    signed, suspects = list(messages), dict[str, tuple[str, Sequence[Message], Any]]()
    for number, message in enumerate(messages):
        if number in learnt:
            continue
        named = f"message {number + 1} ({message['role']})"
        left_out = [*messages[:number], *messages[number + 1 :]]
        content = message.get("content")
        if isinstance(content, str) and _says(content):
            signed[number] = {**message, "content": content + (sign := next(signs))}
            suspects[sign] = named, left_out, tools
        for place, call in enumerate(message.get("tool_calls") or ()):
            mute = [*messages[:number], _mute(message), *messages[number + 1 :]]
            signed[number] = _call_signed(signed[number], place, sign := next(signs))
            if signed[number]["tool_calls"][place] is not call:
                suspects[sign] = f"the tool calls in {named}", mute, tools
    signed_tools = list(tools)
    for number, tool in enumerate(tools):
        if isinstance(tool.get("function"), Mapping) and "name" in tool["function"]:
            sign = next(signs)
            signed_tools[number] = _renamed(tool, sign)
            suspects[sign] = "the tools", messages, [*tools[:number], *tools[number + 1 :]]
    if not suspects:
        return []
    try:
        text = chat.rendered(signed, signed_tools)
    except ConfigError:  # it reads what was signed: all is looked at by itself
        text = ""
    missing = {sign: found for sign, found in suspects.items() if sign not in text}
    if not missing:
        return []
    whole = chat.rendered(messages, tools)
    return list(dict.fromkeys(
        name for name, less, fewer in missing.values() if _is_text(chat, less, fewer, whole)
    ))  # fmt: skip


def _is_text(
    chat: Chat, messages: Sequence[Message], tools: Sequence[dict[str, Any]], text: str
) -> bool:
    try:
        return chat.rendered(messages, tools) == text
    except ConfigError:  # without it the template refuses the rest: it is seen
        return False


def _says(content: str) -> bool:
    """Tell whether a text says more than a thought, which templates leave out of history."""
    return bool(content.rpartition("</think>")[2].strip())


def _call_signed(message: Message, place: int, sign: str) -> Message:
    calls = list(message["tool_calls"])
    calls[place] = _renamed(calls[place], sign)
    return {**message, "tool_calls": calls}


def _renamed(called: Any, sign: str) -> Any:
    """Return a call or a tool whose function has a sign behind its name."""
    if not isinstance(called, Mapping):
        return called
    if isinstance(called.get("function"), Mapping):
        return {**called, "function": _renamed(called["function"], sign)}
    return {**called, "name": f"{called['name']}{sign}"} if "name" in called else called


def _mute(message: Message) -> Message:
    """Return a message that calls nothing."""
    kept = {key: value for key, value in message.items() if key != "tool_calls"}
    return {**kept, "content": kept.get("content") or ""}


def _with(prompt: Prompt, number: int, instead: Sequence[Message]) -> Prompt:
    messages = prompt.messages
    return replace(prompt, messages=(*messages[:number], *instead, *messages[number + 1 :]))
