"""Messages as a chat template reads them: plain text, a thought under its key, calls' arguments.

The same thing has several spellings in data, and each template knows one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bakery.errors import ConfigError
from bakery.records import Message

THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""The keys under which data and endpoints give what was thought before an answer."""


def thoughts_read(template: str) -> tuple[str, ...]:
    """Return under which keys a template looks for a thought, in our order of preference."""
    reads = r"""(?:\.|\[\s*["']|get\(\s*["']){}\b"""
    return tuple(name for name in THOUGHTS if re.search(reads.format(name), template))


def thought_key(message: Message) -> str | None:
    """Return the key of a message's thought; None: it has none."""
    there = (key for key in THOUGHTS if isinstance(message.get(key), str))
    return next((key for key in there if message[key].strip()), None)


def as_read(message: Message, thoughts: Sequence[str]) -> Message:
    """Return a message in the spelling of a template that reads a thought under `thoughts`."""
    message = _with_text(message)
    key = thought_key(message)
    if key is None:
        return message
    if len({message[k].strip() for k in THOUGHTS if message.get(k)}) > 1:
        named = " and ".join(k for k in THOUGHTS if message.get(k))
        raise ConfigError(
            f"a {message.get('role')} message has two different thoughts, in {named}",
            hint="Keep the one that belongs to the answer.",
        )
    rest = {k: value for k, value in message.items() if k not in THOUGHTS}
    name = key if key in thoughts or not thoughts else thoughts[0]
    return {**rest, name: message[key]}


def arguments_of(messages: Sequence[Message]) -> Iterator[Mapping[str, Any]]:
    """Yield the arguments of all calls that have any, as objects."""
    for message in messages:
        for call in message.get("tool_calls") or ():
            given = _function(call).get("arguments")
            if isinstance(given, Mapping) and given:
                yield given


def with_text_arguments(message: Message) -> Message:
    """Return a message whose calls have their arguments as JSON text."""
    if not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [_as_text(call) for call in message["tool_calls"]]}


def wants_text(render: Callable[[Sequence[Message]], str], said: Sequence[Message]) -> bool | None:
    """Tell whether a template joins the arguments of calls as text, or writes objects.

    One that takes an object for text either fails, or shows it as Python does. None: it takes
    neither.
    """
    try:
        shown = render(said)
        if not any(repr(given) in shown for given in arguments_of(said)):
            return False
    except ConfigError:
        shown = ""
    try:
        found = render([with_text_arguments(message) for message in said])
    except ConfigError:
        return False if shown else None
    return not shown or any(in_json(given) in found for given in arguments_of(said))


def in_json(arguments: Mapping[str, Any]) -> str:
    """Return arguments as the text that models write."""
    return json.dumps(arguments, ensure_ascii=False)


def _as_text(call: Any) -> Any:
    function = _function(call)
    if not isinstance(function.get("arguments"), Mapping):
        return call
    written = {**function, "arguments": in_json(function["arguments"])}
    return {**call, "function": written} if "function" in call else written


def _function(call: Any) -> Mapping[str, Any]:
    found = call.get("function", call) if isinstance(call, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _with_text(message: Message) -> Message:
    """Return a message whose content is text: parts of text are put together, others refused."""
    parts = message.get("content")
    if not isinstance(parts, list):
        return message
    if not all(isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in parts):
        raise ConfigError(
            f"a {message.get('role')} message has content that is not text: {parts!r:.80}",
            hint="Only text can be baked into a text model.",
        )
    return {**message, "content": "".join(p["text"] for p in parts)}
