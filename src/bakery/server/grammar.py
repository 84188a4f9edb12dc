"""What an answer is held to, as a grammar in Lark's notation: JSON by a schema, calls of tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bakery.server.calls import Spelling
from bakery.server.errors import RequestError
from bakery.server.forms import ChatForm, NamedTool, Tool

MOST_PARTS = 1000
MOST_DEPTH = 64
"""Objects and lists of a schema, and how many of them lie within one another."""

ANY = {"type": "object"}
"""The schema of `json_object`."""

NONE = {"type": "object", "properties": {}, "additionalProperties": False}
"""The schema of what a function takes that takes nothing."""

_OPTIONS = "x-guidance"
_SPACE = {"whitespace_pattern": r"(\x20|\n\x20{0,16})?"}
"""Between two signs a space, or a new line with its indent: a model might write spaces for ever."""


def of(form: ChatForm, spelling: Callable[[], Spelling | None]) -> str | None:
    """Return what an answer is held to; None: it may say anything.

    `spelling` tells how the template writes calls; None: in no way that is read here. With `tools`
    that may be called an answer of a form is one of the two.
    """
    schema, tools = _wanted(form), _callable(form)
    if form.tool_choice not in (None, "auto", "none"):
        rules = ["start: calls"]
    elif schema is None:
        return None
    else:
        rules = ["start: form | calls" if tools else "start: form"]
        rules.append(f"form: %json {_schema(schema, 'response_format')}")
    if tools:
        rules += _calls(tools, spelling(), has_many=_may_call_twice(form))
    return "\n".join(rules)


def _wanted(form: ChatForm) -> dict[str, Any] | None:
    """Return the schema of an answer; None: it has none."""
    wanted = form.response_format
    if wanted is None:
        return None
    has_schema = wanted.json_schema is not None
    if has_schema != (wanted.type == "json_schema"):
        raise RequestError(
            400, f"A `response_format` of the type {wanted.type} has "
            f"{'no' if has_schema else 'a'} `json_schema`.", param="response_format",
        )  # fmt: skip
    if wanted.type == "text":
        return None
    return wanted.json_schema.schema_ if wanted.json_schema else ANY


def _callable(form: ChatForm) -> Sequence[Tool]:
    """Return the tools that an answer may call; RequestError where it has to call another."""
    tools = form.tools or []
    choice = form.tool_choice
    if choice == "none":
        return ()
    if isinstance(choice, NamedTool):
        tools = [tool for tool in tools if tool.function.name == choice.function.name]
        if not tools:
            raise RequestError(
                400, "`tool_choice` names a function that is not among `tools`.",
                param="tool_choice",
            )  # fmt: skip
    if choice == "required" and not tools:
        raise RequestError(400, "`tool_choice` is for requests with `tools`.", param="tool_choice")
    return tools


def _may_call_twice(form: ChatForm) -> bool:
    return form.parallel_tool_calls is not False and not isinstance(form.tool_choice, NamedTool)


def _calls(tools: Sequence[Tool], spelling: Spelling | None, *, has_many: bool) -> Iterator[str]:
    """Yield the rules of calls, in the words of the template."""
    if spelling is None:
        raise RequestError(
            400, "The chat template writes calls of tools in a way that is not read here, so no "
            "answer can be held to one.", code="unsupported_parameter", param="tool_choice",
        )  # fmt: skip
    begin, end = _text(spelling.begin), _text(spelling.end)
    more = f" ({_text(spelling.between)} {begin} call {end})*"
    many = has_many and spelling.between is not None
    yield f"calls: {begin} call {end}{more if many else ''}"
    yield "call: " + " | ".join(f"call_{at}" for at in range(len(tools)))
    for at, tool in enumerate(tools):
        given = tool.function.parameters
        schema = NONE if given is None else {"type": "object", **given}
        if schema["type"] != "object":
            raise RequestError(
                400, "What a function takes is an object: its `parameters` have another type.",
                param=f"tools.{at}.function.parameters",
            )  # fmt: skip
        before, after = spelling.around(json.dumps(tool.function.name, ensure_ascii=False))
        told = _schema(schema, f"tools.{at}.function.parameters")
        yield f"call_{at}: {_text(before)} %json {told} {_text(after)}"


def _text(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _schema(schema: dict[str, Any], param: str) -> str:
    """Return a schema as JSON in a line; RequestError where it is none that may be tried."""
    if _OPTIONS in schema:
        raise RequestError(400, f"`{_OPTIONS}` is nothing of JSON Schema's.", param=param)
    if not _is_small(schema):
        raise RequestError(
            400, f"A schema may have {MOST_PARTS:,} objects and lists, and {MOST_DEPTH} of them "
            "within one another.", param=param,
        )  # fmt: skip
    try:
        return json.dumps({**schema, _OPTIONS: _SPACE}, ensure_ascii=False, allow_nan=False)
    except ValueError:  # NaN, or a number of thousands of digits
        raise RequestError(400, "A schema has a number that is none.", param=param) from None


def _is_small(schema: dict[str, Any]) -> bool:
    """Tell whether a schema can be read without harm: what reads it calls itself for each part."""
    left, level = MOST_PARTS, list[Any]([schema])
    for _ in range(MOST_DEPTH):
        left -= len(level)
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole)
            if isinstance(part, dict | list)
        ]
        if not level or left < 0:
            break
    return not level and left >= 0
