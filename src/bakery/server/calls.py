"""Calls of tools: in what is asked, as templates take them; in answers, as models write them.

Read are the two ways that most models write: `<tool_call>{"name": …}</tool_call>`, and an answer
that is one JSON object with a name. Any other stays text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bakery import json_file
from bakery.errors import ConfigError
from bakery.records import Message

MARK = "<tool_call>"

_BEGIN = re.compile(rf"{MARK}\s*(?=\{{)")
_END = re.compile(r"\s*(?:</tool_call>|\Z)")
_JSON = json.JSONDecoder()

_SPELT = re.compile(
    r'(\{\s*"name"\s*:\s*)"the_(?:first|second)"(\s*,\s*"(?:arguments|parameters)"\s*:\s*)'
    r'\{\s*"of"\s*:\s*1\s*\}(\s*\})'
)
"""A call of those that a template is shown, as it is read here."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a template writes calls: what is around each, and between two. None: it writes one."""

    begin: str
    end: str
    between: str | None
    before_name: str
    before_arguments: str
    last: str

    def around(self, name: str) -> tuple[str, str]:
        """Return what stands before and after the arguments of a call, its name being JSON."""
        return f"{self.before_name}{name}{self.before_arguments}", self.last


USUAL = Spelling(f"{MARK}\n", "\n</tool_call>", "\n", '{"name": ', ', "arguments": ', "}")


def spelling(render: Callable[[Sequence[Message]], str], asked: str) -> Spelling | None:
    """Return how a template writes calls, by what it makes of some; None: in no way read here.

    `asked` is the question alone, up to where its answer begins.
    """
    try:
        shown = render(_calling("first"))
    except ConfigError:
        return USUAL
    if "the_first" not in shown:
        return USUAL
    found = _SPELT.search(shown)
    if found is None:
        return None
    begin = re.search(r"<tool_call>\s*\Z", shown[: found.start()])
    end = re.match(r"\s*</tool_call>", shown[found.end() :])
    if begin and end:
        around = begin.group(), end.group()
        return Spelling(*around, _between(render, *around), *found.groups())
    if shown[: found.start()].strip() != asked.strip():
        return None
    return Spelling("", "", None, *found.groups())


def _between(render: Callable[[Sequence[Message]], str], begin: str, end: str) -> str | None:
    try:
        shown = render(_calling("first", "second"))
    except ConfigError:  # it takes one call a turn
        return None
    found = list(_SPELT.finditer(shown))
    if len(found) != 2:
        return None
    between = shown[found[0].end() + len(end) : found[1].start() - len(begin)]
    return None if between.strip() else between


def _calling(*names: str) -> list[Message]:
    """Return a conversation whose answer calls tools."""
    functions = [{"name": f"the_{name}", "arguments": {"of": 1}} for name in names]
    calls = [{"id": f["name"], "type": "function", "function": f} for f in functions]
    said = {"role": "assistant", "content": "", "tool_calls": calls}
    return [{"role": "user", "content": "?"}, said]


def with_objects(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Return messages whose calls have objects as arguments: a template that wants text gets it."""
    return [_with_objects(message) for message in messages]


def _with_objects(message: Mapping[str, Any]) -> Message:
    if not message.get("tool_calls"):
        return dict(message)
    calls = []
    for call in message["tool_calls"]:
        function = dict(call["function"])
        with suppress(ValueError):  # no JSON: it is shown as the model wrote it
            function["arguments"] = json_file.parse(function.get("arguments") or "{}")
        calls.append({**call, "function": function})
    return {**message, "tool_calls": calls}


class Called:
    """The text of an answer that may call tools: what may become a call waits for its end."""

    def __init__(self) -> None:
        self._held = ""
        self._is_held = False
        self._has_begun = False

    def add(self, text: str) -> str:
        """Return what is surely said, and no call."""
        self._held += text
        if self._is_held:
            return ""
        if not self._has_begun:
            begun = self._held.lstrip()
            if not begun:
                return ""
            self._has_begun = True
            self._is_held = begun.startswith("{")
        at = self._held.find(MARK)
        if at < 0 and not self._is_held:
            at = next(
                (len(self._held) - size for size in range(len(MARK) - 1, 0, -1)
                 if self._held.endswith(MARK[:size])),
                len(self._held),
            )  # fmt: skip
        elif at >= 0:
            self._is_held = True
        said, self._held = self._held[: max(at, 0)], self._held[max(at, 0) :]
        return said

    def end(self) -> tuple[str, list[dict[str, Any]]]:
        """Return what is left to say, and the calls."""
        held, self._held = self._held, ""
        if MARK in held:
            rest, found = _parted(held)
            return (rest if rest.strip() else "", found) if found else (held, [])
        call = _call(held.strip()) if self._is_held else None
        return (held, []) if call is None else ("", [call])


def _parted(text: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a text without its calls, and the calls; their arguments may hold any mark."""
    rest, found, at = "", list[dict[str, Any]](), 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < at:
            continue  # it stands in the arguments of a call
        try:
            _, stop = _JSON.raw_decode(text, begin.end())
        except (ValueError, RecursionError):
            continue
        end = _END.match(text, stop)
        if end and (call := _call(text[begin.end() : stop])) is not None:
            rest, at = rest + text[at : begin.start()], end.end()
            found.append(call)
    return rest + text[at:], found


def _call(text: str) -> dict[str, Any] | None:
    """Return a call as OpenAI writes it; None: the text is none."""
    try:
        said = json_file.parse(text)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        return None
    given = said.get("arguments", said.get("parameters"))
    if not isinstance(given, dict | str):
        return None
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    function = {"name": said["name"], "arguments": arguments}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}
