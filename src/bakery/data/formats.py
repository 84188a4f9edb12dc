"""Messages, texts and tools as people write them, read as chat templates want them.

What is none is a ValueError that says so; which keys of a record hold them: `columns`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bakery.data.columns import CONVERSATION, PROMPT, RESPONSE
from bakery.records import Message
from bakery.settings import checks
from bakery.yaml import text as yaml_text

SPEAKERS = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "model": "assistant", "bot": "assistant", "system": "system",
    "developer": "developer", "tool": "tool", "observation": "tool", "function_response": "tool",
    "ipython": "tool",
}  # fmt: skip
EXPECTED = (
    f"a text, or an object with one of {', '.join(PROMPT)} (and a response), or with messages"
)


def joined(
    turns: tuple[Message, ...], completion: tuple[Message, ...], name: str
) -> tuple[tuple[Message, ...], str | None]:
    """Join a prompt and a completion that is a list of messages."""
    if len(completion) == 1 and completion[0].keys() == {"role", "content"}:
        if completion[0]["role"] != "assistant":
            raise ValueError(f"{name} is not an assistant message")
        return turns, text_in(completion[0]["content"], name)
    if any(message["role"] == "assistant" for message in turns):
        raise ValueError(
            f"{name} is more than one text and the prompt has assistant turns, so targets and "
            "history cannot be told apart: put all into `messages`, where every assistant turn "
            "is a target"
        )
    return ended((*turns, *completion)), None


def messages_of(value: Any, name: str) -> tuple[Message, ...]:
    """Return a list of messages, as chat templates read them."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} is {shown(value)}, expected a list of messages")
    found = tuple(_message(raw) for raw in value)
    problems = checks.messages(found)
    if problems:
        raise ValueError("; ".join(f"{name}{p.name} {p.text}" for p in problems[:3]))
    return found


def _message(raw: Any) -> Any:
    """Return a message by the names chat templates read; what is wrong in it is left to see."""
    if not isinstance(raw, Mapping):
        return raw
    message = {str(key): value for key, value in raw.items() if value is not None}
    if "from" in message and "role" not in message:
        speaker = str(message.pop("from"))
        message["role"] = SPEAKERS.get(speaker.lower(), speaker)
    if "value" in message and "content" not in message:
        message["content"] = message.pop("value")
    if message.get("tool_calls"):
        message.setdefault("content", "")
        if isinstance(message["tool_calls"], list | tuple):
            message["tool_calls"] = [_call(call) for call in message["tool_calls"]]
    if isinstance(message.get("content"), list):
        message["content"] = in_parts(message["content"])
    ordered = {key: message[key] for key in ("role", "content") if key in message}
    return ordered | message


def _call(raw: Any) -> Any:
    """Return a tool call with its arguments as templates write them: an object, not its JSON."""
    if not isinstance(raw, Mapping):
        return raw
    if isinstance(raw.get("function"), Mapping):
        return {**raw, "function": _call(raw["function"])}
    given = raw.get("arguments")
    if not isinstance(given, str):
        return dict(raw)
    try:
        return {**raw, "arguments": json.loads(given)}
    except (ValueError, RecursionError):  # it stays the text that somebody wrote
        return dict(raw)


def in_parts(parts: list[Any]) -> str:
    """Return the text of content that is given in parts."""
    return "".join(map(_part, parts))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise ValueError(f"content holds {shown(part)}: only text can be baked")
    kind = part.get("type", "text")
    if kind not in _TEXT_PARTS:
        raise ValueError(f"content holds a part of type {shown(kind)}: only text can be baked")
    for name in _PART_TEXT:
        if isinstance(part.get(name), str):
            return str(part[name])
    keys = ", ".join(f"`{key}`" for key in part if key != "type")
    raise ValueError(
        f"a part of content has {keys or 'only a type'}, where `text` with a text was expected"
    )


_TEXT_PARTS = ("text", "input_text", "output_text")
_PART_TEXT = ("text", "value", "content")
"""Under what a part has its text: OpenAI and most, LLaMA-Factory, others."""


def ended(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return turns that end with what can be answered or learnt."""
    last = turns[-1]["role"] if turns else ""
    if last not in ("user", "tool", "assistant"):
        raise ValueError(f"ends with a {last} message, expected user or assistant")
    return turns


def tools_of(value: Any) -> tuple[dict[str, Any], ...]:
    """Return descriptions of tools."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"tools is {shown(value)}, expected a list")
    tools = tuple(unpacked(tool) for tool in value)
    for tool in tools:
        if not isinstance(tool, dict):
            raise ValueError(f"tools holds {shown(tool)}, expected descriptions of functions")
    return tools


def user_turn(prompt: str) -> Message:
    """Return a prompt as a message."""
    return {"role": "user", "content": text_in(prompt, "the prompt")}


def text_in(value: Any, name: str) -> str:
    """Return what has to be a text, and say something."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {shown(value)}, expected text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} holds half a character (a lone surrogate)")
    if not value.strip():
        raise ValueError(
            f"{name} is empty" + (": leave it out to be sampled" if name in RESPONSE else "")
        )
    return value


def unpacked(value: Any) -> Any:
    """Return what a cell of a table holds, where lists can only be written as JSON."""
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", "[[", "[]", '{"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def keys_of(record: Mapping[str, Any]) -> str:
    """Say which keys a record has, and what one of them may be meant as."""
    keys = [str(key) for key in record]
    known = (*PROMPT, *CONVERSATION)
    close = [(key, yaml_text.nearest(key, known)) for key in keys]
    said = f"it has {', '.join(keys)}" if keys else "it is empty"
    guess = next((f": is {key} meant as `{name}`?" for key, name in close if name), "")
    return said + guess


def shown(value: Any) -> str:
    """Return a value as it is shown in an error."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."
