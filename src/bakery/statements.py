"""A prompt taken apart into what it says: sentences, items of lists, example turns.

By its signs alone, so that it is the same everywhere. What is left of a prompt without one of
them is a prompt again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bakery.records import Message, Prompt

EXAMPLE = "example: "
"""How the text of example turns begins."""

_BULLET = re.compile(r"[ \t]*(?:[-*•+]|\d{1,3}[.)]|#{1,6})[ \t]+")
_ENDS = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]?[^\Wa-z_]|\s*$)|[。！？]+[」』”]*")
"""Where a sentence ends: a capital or a digit comes next, or nothing."""
_SHORT = re.compile(
    r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nr|vs|etc|approx|e\.g|i\.e|[A-Z])\.$", re.I
)
_WRAPPED = 60
"""Signs of a line from which on the next one goes on with it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a prompt says: where it stands, and its text on one line."""

    text: str
    first: int
    """The message that it begins in."""
    last: int
    """The one that it ends in: another one for example turns, which go together."""
    start: int = 0
    stop: int | None = None
    """Of the message's text, the signs it takes. None: it is the whole message, or all of them."""


def statements(prompt: Prompt) -> list[Statement]:
    """Return what a prompt says, in its order; what is said twice is there twice."""
    found: list[Statement] = []
    at = 0
    while at < len(prompt.messages):
        message = prompt.messages[at]
        if message.get("role") == "user":
            last = _end_of_exchange(prompt.messages, at)
            said = " / ".join(_line(_text(m)) for m in prompt.messages[at : last + 1])
            found.append(Statement(EXAMPLE + said, at, last))
            at = last + 1
            continue
        text = _text(message)
        found += [Statement(_line(text[a:b]), at, at, a, b) for a, b in _spans(text)]
        at += 1
    return [one for one in found if one.text]


def finely(prompt: Prompt) -> list[Statement]:
    """Return what a prompt says as `statements` does, and apart what that leaves together:

    sentences of a prompt in small letters, and facts in a row, each with a number ("opens at
    nine, returns within thirty days"). It only shows what was asked: what questions are written
    by, and so are in ids, is `statements`.
    """
    return [part for one in statements(prompt) for part in _apart(prompt, one)]


def without(prompt: Prompt, *left_out: Statement) -> Prompt:
    """Return a prompt that says all but some of its statements."""
    messages: list[Message | None] = list(prompt.messages)
    cut: dict[int, int] = {}  # of a message, where what was taken out of it begins
    for one in sorted(left_out, key=lambda one: (one.first, one.start), reverse=True):
        message = messages[one.first]
        if one.stop is None or message is None:
            messages[one.first : one.last + 1] = [None] * (one.last + 1 - one.first)
            continue
        stop = min(one.stop, cut.get(one.first, one.stop))
        messages[one.first] = {**message, "content": _cut(_text(message), one.start, stop)}
        cut[one.first] = one.start
    for at in cut:
        message = messages[at]
        left = _text(message).strip() if message else ""
        messages[at] = {**message, "content": left} if message and left else None
    return Prompt(tuple(message for message in messages if message is not None), prompt.tools)


def _text(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _line(text: str) -> str:
    return " ".join(_BULLET.sub("", text, count=1).split())


def _end_of_exchange(messages: tuple[Message, ...], at: int) -> int:
    """Return the last message of what one user turn begins: the turns up to the next one."""
    last = at
    while last + 1 < len(messages) and messages[last + 1].get("role") in ("assistant", "tool"):
        last += 1
    return last


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the signs that each sentence takes; headings, which only name what follows, do not."""
    for start, stop in _blocks(text):
        is_item = _BULLET.match(text, start)
        if not is_item and _BULLET.match(text, stop) and text[start:stop].strip()[-1].isalnum():
            continue  # the heading of a list
        at = start
        for match in _ENDS.finditer(text, start, stop):
            said = text[at : match.end()]
            if match.start() < at or _SHORT.search(said) or said.count('"') % 2:
                continue
            yield from _said(text, at, match.end())
            at = match.end()
        yield from _said(text, at, stop)


def _said(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    said = text[start:stop]
    if not any(sign.isalnum() for sign in _BULLET.sub("", said, count=1)):
        return
    is_heading = said.rstrip().endswith(":") or said.lstrip().startswith("#")
    if not is_heading:
        yield start + len(said) - len(said.lstrip()), start + len(said.rstrip())


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield runs of lines that belong together: a list's item, or a paragraph that is wrapped."""
    begun: int | None = None
    at, before = 0, ""
    for line in text.splitlines(keepends=True):
        goes_on = (
            begun is not None
            and line.strip()
            and not _BULLET.match(line)
            and (len(before) >= _WRAPPED or line.strip()[0].islower())
            and not before.endswith(":")
        )
        if not goes_on:
            if begun is not None:
                yield begun, at
            begun = at if line.strip() else None
        before, at = line.strip(), at + len(line)
    if begun is not None:
        yield begun, at


_CAPITAL = re.compile(r"(?:^|\n|[.!?…]\s)[^\w\n]*[^\W\da-z_]")
_SMALL_ENDS = re.compile(
    r"[.!?…]+[\"'”’)\]]*\s+(?=[a-z])|\s*\n\s*(?=[a-z][\w'-]*(?: [\w'-]+){0,2}: )"
)
"""Where a small letter begins a sentence, or a line with a name of what follows."""
_ABBREVIATED = re.compile(r"\.\w+\.\s*$")
_ROW = re.compile(r"[,;]\s+(?:and\s+)?")
_NUMBER = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred|thousand|noon|midnight|half)\b",
    re.I,
)
_HANGS = re.compile(
    r"(?:if|when|whenever|unless|while|because|since|after|before|as|so|but|or|then|which|who|that"
    r"|where|except|not|even|for|do|don't|never|always|answer|say|give|use|write)\b",
    re.I,
)
"""How a part begins that is no fact of its own."""
_FACT = 3
"""Words of a fact in a row, at least."""


def _apart(prompt: Prompt, whole: Statement) -> Iterator[Statement]:
    """Yield the parts of a statement; each takes the signs that join it to the others with it."""
    if whole.stop is None:
        yield whole
        return
    text = _text(prompt.messages[whole.first])
    for start, stop in _small_sentences(text, whole.start, whole.stop):
        ends = _facts_in_a_row(text, start, stop)
        for number, (begins, joins) in enumerate(ends):
            said = _line(text[begins:joins])
            until = ends[number + 1][0] if number + 1 < len(ends) else joins
            # The last one of several takes the comma before it along, and leaves the full stop.
            since = ends[number - 1][1] if number and number + 1 == len(ends) else begins
            yield Statement(said, whole.first, whole.last, since, until)


def _small_sentences(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    at = start
    if not _CAPITAL.search(text):
        for match in _SMALL_ENDS.finditer(text, start, stop):
            said = text[at : match.end()].rstrip()
            if _SHORT.search(said) or _ABBREVIATED.search(said) or said.count('"') % 2:
                continue
            yield at, at + len(said)
            at = match.end()
    yield at, stop


def _facts_in_a_row(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Return where each fact of a sentence begins and ends; the whole, where it is no row."""
    bullet = _BULLET.match(text, start, stop)
    begins = bullet.end() if bullet else start
    said = text[begins:stop].rstrip(".!")
    places, at = [], begins
    for match in _ROW.finditer(text, begins, begins + len(said)):
        places.append((at, match.start()))
        at = match.end()
    places.append((at, begins + len(said)))
    parts = [text[a:b] for a, b in places]
    is_row = '"' not in said and all(
        _NUMBER.search(part) and len(part.split()) >= _FACT and not _HANGS.match(part)
        for part in parts
    )
    return places if is_row and len(places) > 1 else [(start, stop)]


def _cut(text: str, start: int, stop: int) -> str:
    """Return a text without some of its signs, and without the line that they leave empty."""
    head, tail = text[:start], text[stop:]
    line = head.rpartition("\n")[2]
    if not _BULLET.sub("", line, count=1).strip() and (not tail or tail.lstrip(" \t")[:1] in "\n"):
        return (head[: len(head) - len(line)] + tail.lstrip(" \t")[1:]).rstrip()
    tail = tail.lstrip(" ")
    is_joined = line.strip() and tail[:1] not in "\n.!"
    return (head.rstrip(" ") + " " * bool(is_joined) + tail).rstrip()
