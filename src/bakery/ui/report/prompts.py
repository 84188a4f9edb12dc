"""The prompts of a bake, and how much of each sentence was learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bakery.records import given_name
from bakery.ui.report.curve import bar
from bakery.ui.report.figures import share
from bakery.ui.report.markup import Markup, cut, element, said
from bakery.variables import shown
from bakery.verdict import Covered

LONGEST = 20_000
"""Characters of a message that are shown."""

MOST = 100
"""Messages of a prompt, or sentences of its coverage."""

GOOD, POOR = 0.8, 0.4
"""Shares of the gap from which a sentence is drawn as learnt, and under which as missed."""


def target(
    data: Mapping[str, Any], coverage: Sequence[Covered], *, heading: bool, of: str = "h3"
) -> Markup:
    """Return what a target bakes in: its coverage sentence by sentence, then its prompts."""
    teacher, student = data.get("teacher") or {}, data.get("student") or {}
    weight, values = data.get("weight"), data.get("variables")
    title = given_name(str(data.get("name", "")))
    some = f", weight {weight:g}" if isinstance(weight, int | float) else ""
    whole = prompt(teacher)
    return element(
        "div",
        element(of, title, element("small", some)) if heading else None,
        covered(coverage) if coverage else None,
        element("details", element("summary", "The whole prompt"), whole) if coverage else whole,
        element("h4", "What still has to be sent for it") if student.get("messages") else None,
        prompt(student) if student.get("messages") else None,
        element("p", f"Each row fills it; the first: {shown(values)}") if values else None,
        class_="target",
    )


def covered(rows: Sequence[Covered]) -> Markup:
    """Return the sentences of a prompt, each with the share of the gap that was closed."""
    more = len(rows) - MOST
    return element(
        "ul",
        [_sentence(row) for row in rows[:MOST]],
        element("li", f"… and {more} more sentences", class_="quiet") if more > 0 else None,
        class_="coverage",
    )


def _sentence(row: Covered) -> Markup:
    kind, word = learnt(row)
    return element(
        "li",
        said(row.sentence, most=1_000, kind="span", class_="sentence"),
        element(
            "span",
            bar(row.gap_closed, kind) if row.gap_closed is not None else None,
            element("b", share(row.gap_closed) if row.gap_closed is not None else word),
            element("small", _asked(row.asked)) if row.asked else None,
            class_="share",
        ),
        class_=kind,
    )


def learnt(row: Covered) -> tuple[str, str]:
    """Return how a sentence is drawn, and the word for it."""
    if not row.asked:
        return "none", "no effect seen"
    if row.gap_closed is None:
        return "same", "no gap to close"
    if row.gap_closed >= GOOD:
        return "good", "learnt"
    return ("bad", "missed") if row.gap_closed < POOR else ("part", "in part")


def _asked(count: int) -> str:
    return f"{count} question{'s' if count != 1 else ''}"


def prompt(data: Mapping[str, Any]) -> Markup:
    """Return the messages and tools of a prompt."""
    messages = list(data.get("messages") or ())
    tools = list(data.get("tools") or ())
    if not messages and not tools:
        return element("p", "nothing: it is always on", class_="quiet")
    more = len(messages) - MOST
    return element(
        "div",
        [_message(message) for message in messages[:MOST]],
        element("p", f"… and {more} more messages", class_="quiet") if more > 0 else None,
        [_part("tool", _json(tool)) for tool in tools[:MOST]],
        class_="prompt",
    )


def _message(message: Mapping[str, Any]) -> Markup:
    content = message.get("content")
    text = content if isinstance(content, str) else _json(content)
    rest = {key: value for key, value in message.items() if key not in ("role", "content")}
    return _part(str(message.get("role", "")), f"{text}\n{_json(rest)}" if rest else text)


def _part(role: str, text: str) -> Markup:
    return element(
        "div",
        element("span", cut(role, 40), class_="role"),
        said(text, most=LONGEST),
        class_="message",
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
