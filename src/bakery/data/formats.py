"""One record of any known shape, read as a `Row`.

Text under one of many names, messages, ShareGPT turns, prompts as message lists: what a record
is follows from its keys. A record that is none of these is refused with its number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bakery.data.rows import Row
from bakery.data.sources import Table
from bakery.errors import StageError
from bakery.records import Message
from bakery.settings import checks
from bakery.yaml import text as yaml_text

PROMPT = (
    "prompt", "user_message", "user_messages", "input", "question", "text", "instruction",
)  # fmt: skip
RESPONSE = ("response", "responses", "completion", "output", "answer", "target")
CONVERSATION = ("turns", "messages", "conversations", "conversation")
SPEAKERS = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "model": "assistant", "bot": "assistant", "system": "system",
    "developer": "developer", "tool": "tool", "observation": "tool", "function_response": "tool",
    "ipython": "tool",
}  # fmt: skip
EXPECTED = (
    f"a text, or an object with one of {', '.join(PROMPT)} (and a response), or with messages"
)
_SHOWN = 5
"""So many bad rows are listed; more would hide the first."""


def rows_of_table(table: Table) -> list[Row]:
    """Return every record as a Row, or one StageError that lists the bad ones."""
    rows: list[Row] = []
    bad: list[str] = []
    for number, record in table.records:
        try:
            rows.append(row_of(record, number))
        except ValueError as error:
            bad.append(f"{table.where(number)}: {error}")
        except RecursionError:
            bad.append(f"{table.where(number)}: it is nested too deeply")
    if bad:
        more = [f"... and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        raise StageError("\n".join([*bad[:_SHOWN], *more]), hint=f"A {table.unit} is {EXPECTED}.")
    return rows


def row_of(record: Any, number: int) -> Row:
    """Return one record as a Row, or raise a ValueError that says what is wrong with it."""
    if isinstance(record, Row):
        return record
    if isinstance(record, str):
        return Row(number, (_user(record),))
    if isinstance(record, list | tuple) and record:
        return Row(number, _ended(_messages(record, "the conversation")))
    if not isinstance(record, Mapping):
        raise ValueError(f"expected {EXPECTED}, got {_shown(record)}")
    prefix = _parsed(record.get("prefix_messages"))
    tools = _parsed(record.get("tools"))
    turns, response = _turns(record)
    return Row(
        number,
        turns,
        response,
        prefix=_messages(prefix, "prefix_messages") if prefix else None,
        tools=_tools(tools) if tools else (),
    )


def _turns(record: Mapping[str, Any]) -> tuple[tuple[Message, ...], str | None]:
    name = _first(record, CONVERSATION)
    answer_name = _first(record, RESPONSE)
    answer = record[answer_name] if answer_name else None
    if name is not None:
        turns = _ended(_messages(_parsed(record[name]), name))
    else:
        name = _first(record, PROMPT)
        if name is None:
            raise ValueError(f"expected {EXPECTED}; {_keys(record)}")
        if isinstance(record[name], list | tuple):
            turns = _ended(_messages(record[name], name))
        else:
            turns = (_user(_question(record, name)),)
    if answer is None:
        return turns, None
    if turns[-1]["role"] == "assistant":
        raise ValueError(f"{name} ends with the assistant, so {answer_name} answers nothing")
    if isinstance(answer, list | tuple):
        return _completed(turns, _messages(answer, str(answer_name)), str(answer_name))
    return turns, _text(answer, str(answer_name))


def _completed(
    turns: tuple[Message, ...], completion: tuple[Message, ...], name: str
) -> tuple[tuple[Message, ...], str | None]:
    """Join a prompt and a completion that is a list of messages."""
    if len(completion) == 1 and completion[0].keys() == {"role", "content"}:
        if completion[0]["role"] != "assistant":
            raise ValueError(f"{name} is not an assistant message")
        return turns, _text(completion[0]["content"], name)
    if any(message["role"] == "assistant" for message in turns):
        raise ValueError(
            f"{name} is more than one text and the prompt has assistant turns, so targets and "
            "history cannot be told apart: put all into `messages`, where every assistant turn "
            "is a target"
        )
    return _ended((*turns, *completion)), None


def _question(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a prompt; an instruction and its input belong together."""
    if name == "input" and record.get("instruction"):
        instruction = _text(record["instruction"], "instruction")
        return f"{instruction}\n\n{record[name]}" if record[name] else instruction
    return _text(record[name], name)


def _messages(value: Any, name: str) -> tuple[Message, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} is {_shown(value)}, expected a list of messages")
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
        message["content"] = _joined(message["content"])
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


def _joined(parts: list[Any]) -> str:
    """Return the text of content that is given in parts."""
    for part in parts:
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            kind = part.get("type", part) if isinstance(part, Mapping) else part
            raise ValueError(f"content holds {_shown(kind)}: only text can be baked")
    return "".join(part["text"] for part in parts)


def _ended(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    last = turns[-1]["role"] if turns else ""
    if last not in ("user", "tool", "assistant"):
        raise ValueError(f"ends with a {last} message, expected user or assistant")
    return turns


def _tools(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"tools is {_shown(value)}, expected a list")
    tools = tuple(_parsed(tool) for tool in value)
    for tool in tools:
        if not isinstance(tool, dict):
            raise ValueError(f"tools holds {_shown(tool)}, expected descriptions of functions")
    return tools


def _user(text: str) -> Message:
    return {"role": "user", "content": _text(text, "the prompt")}


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_shown(value)}, expected text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} holds half a character (a lone surrogate)")
    if not value.strip():
        raise ValueError(
            f"{name} is empty" + (": leave it out to be sampled" if name in RESPONSE else "")
        )
    return value


def _parsed(value: Any) -> Any:
    """Return what a cell of a table holds, where lists can only be written as JSON."""
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", "[]", '{"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _first(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if record.get(name) is not None), None)


def _keys(record: Mapping[str, Any]) -> str:
    keys = [str(key) for key in record]
    known = (*PROMPT, *CONVERSATION)
    close = [(key, yaml_text.nearest(key, known)) for key in keys]
    said = f"it has {', '.join(keys)}" if keys else "it is empty"
    guess = next((f": is {key} meant as `{name}`?" for key, name in close if name), "")
    return said + guess


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."
