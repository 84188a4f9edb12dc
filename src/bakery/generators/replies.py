"""A reply that is a list, taken apart: lines, numbered or not, or JSON.

Models think aloud before their list, put words or a fence around it, and break off in the middle
of it. What is none of the list gets a reason here, so that it never becomes a question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Candidate = tuple[str, str | None]
"""A text that may be a question, and why it is none; None: nothing speaks against it yet."""

CUT, BROKEN, THOUGHT, NOT_ONE = "cut off", "broken JSON", "only thinking", "not one message"

_NUMBER = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s+")
# Where a line begins or ends with it: "What does <think> mean?" is a question.
_THINKING = re.compile(
    r"(?:^[ \t]*<think>|<think>[ \t]*$).*?(?:</think>|\Z)", re.DOTALL | re.MULTILINE
)
_FENCE = re.compile(r"\s*+(?:`{3,}+|~{3,}+)\s*+\w*+\s*+")
# Quotes around all of a text: not those of `"a" or "b"`, where the first one is closed in between.
_QUOTED = re.compile(r'"([^"]*(?:(?<=[\s(])"[^"]*"[^"]*)*)",?')

# A bracket that begins a list in JSON: at the start of a line or of a fence, or behind a colon
# where nothing else stands on its line.
_LIST = r"\[\s*(?:\[\s*)?(?:\"|\{\s*[\"}])"
_OPENING = re.compile(
    rf"^[ \t]*(?:`{{3,}}\w*[ \t]*)?(?={_LIST}|\{{\s*\")|:[ \t]*(?=\[[ \t]*\n\s*[\"{{])",
    re.MULTILINE,
)
_BEHIND_WORDS = re.compile(rf"(?!\s*\d+[.):])[^\[{{]*(?={_LIST})")
# A list that no reader of JSON reads, as Python writes one.
_LIST_OF_ELSE = re.compile(r"\[\s*[\"'\[].*[\"'\]]\s*\]")
_LISTS_IN_OBJECT = re.compile(r'\{\s*"[^"\n]*"\s*:\s*\[')
_NEXT_IN_OBJECT = re.compile(r'\]\s*,\s*"[^"\n]*"\s*:\s*\[')
_STRING_OR_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))|,(?=\s*[\]}])', re.DOTALL)
_BETWEEN = re.compile(r"[\s,]*")
_ITEM_ENDS = re.compile(r"[ \t]*(?:[,\]\n]|\Z)")

_TEXT_KEYS = frozenset({"question", "text", "prompt", "message", "content"})

# Not strict: models put line ends and tabs into strings.
_JSON = json.JSONDecoder(strict=False)


def candidates(text: str, *, finished: bool) -> list[Candidate]:
    """Return what of a list may be a question, in its order; `finished`: it came to its own end."""
    said, thought = _without_thoughts(text.replace("\r\n", "\n"))
    if thought:
        # What stands before a thought had come to its end.
        return [*_listed(said, finished=True), (thought, THOUGHT)]
    if text.strip() and not said.strip():
        return [(text.strip(), THOUGHT)]
    return _listed(said, finished=finished)


def is_list(text: str) -> bool:
    """Tell whether a reply is one list, numbered or in JSON, and not some lines of anything."""
    said, _ = _without_thoughts(text.replace("\r\n", "\n"))
    numbered = sum(bool(_NUMBER.match(line)) for line in said.split("\n"))
    return numbered > 1 or _in_json(said, finished=False) is not None


def _without_thoughts(text: str) -> tuple[str, str]:
    """Return a text without its reasoning, and reasoning that never ends, if there is some."""
    endless = ""

    def removed(match: re.Match[str]) -> str:
        nonlocal endless
        if not match[0].endswith("</think>"):
            endless = match[0].strip()
        return ""

    rest = _THINKING.sub(removed, text)
    # The template may have opened it.
    before, end, behind = rest.partition("</think>")
    while end and "<think>" not in before:
        rest = behind
        before, end, behind = rest.partition("</think>")
    return rest, endless


def _listed(text: str, *, finished: bool) -> list[Candidate]:
    in_json = _in_json(text, finished)
    return _in_lines(text, finished) if in_json is None else in_json


def _in_lines(text: str, finished: bool) -> list[Candidate]:
    # Only here does a line end: a text may hold what else Unicode counts as a line's end.
    lines = [line for line in text.split("\n") if line.strip()]
    numbered = [line for line in lines if _NUMBER.match(line)]
    kept = numbered or lines
    cut = kept[-1] if kept and not finished else None
    bare = [(_bare(line), line is cut) for line in kept]
    return [(text, CUT if is_cut else _why_not(text)) for text, is_cut in bare]


def _bare(line: str) -> str:
    text = _NUMBER.sub("", line).strip()
    quoted = _QUOTED.fullmatch(text)
    return quoted[1].strip() if quoted else text


def _why_not(text: str) -> str | None:
    """Refuse fences, brackets and dots: a message has a letter or a digit, in whatever script."""
    if _LIST_OF_ELSE.fullmatch(text):
        return BROKEN
    return None if _has_words(text) and not _FENCE.fullmatch(text) else NOT_ONE


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _in_json(text: str, finished: bool) -> list[Candidate] | None:
    """Return the questions of the lists in JSON that a reply holds; None: it is a list of lines."""
    text = _STRING_OR_LAST_COMMA.sub(lambda match: match[1] or "", text)
    found: list[Candidate] = []
    outside, at = [], 0
    for start, behind in _openings(text):
        if start < at:
            continue
        values, end = _read(text, start, finished)
        line_end = (text + "\n").index("\n", end)
        if "\n" not in text[start:end] and _has_words(text[end:line_end]):
            continue  # `["a", "b"]: what is this?` is a question.
        found += values
        outside.append(text[at:behind])
        at = end
    outside.append(text[at:])
    lines = [line for part in outside for line in part.split("\n")]
    # A list of lines may show some JSON, too. The longer one is what was asked for.
    others = sum(bool(_NUMBER.match(line)) or line.rstrip().endswith("?") for line in lines)
    return found if at and sum(why is None for _, why in found) >= others else None


def _openings(text: str) -> Iterator[tuple[int, int]]:
    """Yield where a list in JSON may begin, and where the words before it end."""
    alone = "\n" not in text.strip() and not text.rstrip().endswith(("]?", "}?"))
    if alone and (match := _BEHIND_WORDS.match(text)):
        yield match.end(), match.end()
    for match in _OPENING.finditer(text):
        yield match.end(), match.start()


def _read(text: str, at: int, finished: bool) -> tuple[list[Candidate], int]:
    """Return the questions of the list or object at a place, and where it ends."""
    try:
        value, end = _JSON.raw_decode(text, at)
        return list(_texts(value)), end
    except (ValueError, RecursionError):
        pass
    if text[at] == "[":
        return _salvaged(text, at + 1, finished)
    line_end = (text + "\n").index("\n", at)
    if lists := _LISTS_IN_OBJECT.match(text, at):
        found, end = _salvaged(text, lists.end(), finished)
        return found, (text + "\n").index("\n", end)
    # An object a line, or one over many lines, whose end nobody knows.
    end = line_end if text[at:line_end].rstrip(" \t,").endswith("}") else len(text)
    cut = end == len(text) and not finished
    return [(text[at:end].strip(), CUT if cut else BROKEN)], end


def _salvaged(text: str, at: int, finished: bool) -> tuple[list[Candidate], int]:
    """Return the whole items of a list that is cut off or broken, and where it ends."""
    found: list[Candidate] = []
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches anywhere
        if at == len(text) or text.startswith("```", at):
            return found, at
        if following := _NEXT_IN_OBJECT.match(text, at):
            at = following.end()
            continue
        if text[at] == "]":
            return found, at + 1
        try:
            value, end = _JSON.raw_decode(text, at)
            if _ITEM_ENDS.match(text, end):
                found += _texts(value)
                at = end
                continue
        except (ValueError, RecursionError):
            pass
        line_end = text.find("\n", at)
        # The next line is an item again where each has its own, which only strings have.
        if text[at] != '"' or line_end < 0:
            return [*found, (text[at:].strip(), BROKEN if finished else CUT)], len(text)
        found.append((text[at:line_end].strip(), BROKEN))
        at = line_end


def _texts(value: Any) -> Iterator[Candidate]:
    """Yield the texts of a value in JSON: itself, its items', or an object's only one."""
    if isinstance(value, str):
        # Half a character, as \ud800 in JSON is, cannot be written down.
        yield value.encode("utf-8", "replace").decode().strip(), _why_not(value)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        parts = [part for part in value.values() if isinstance(part, str | list)]
        named = [
            part
            for key, part in value.items()
            if isinstance(part, str | list) and key.casefold().removesuffix("s") in _TEXT_KEYS
        ]
        parts = named[:1] or parts
        if len(parts) == 1 or (parts and not any(isinstance(part, str) for part in parts)):
            yield from _texts(parts)
        else:
            yield json.dumps(value), NOT_ONE
    else:
        yield json.dumps(value), NOT_ONE
