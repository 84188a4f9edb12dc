"""Where the targets of a finished conversation lie in its token ids.

One rendering is the truth, tokenised once. A second one carries private-use characters around
each target's text; where taking them out gives the first again, they say where the text lies.
What a template drops or rewrites is refused, never guessed.

A token belongs to the text that it begins in. The end of turn directly after an assistant's
text is a target; headers, line ends and thinking blocks that the template adds are not.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain, product
from typing import Any, Literal

from bakery.engine.text import marks, turns
from bakery.engine.text import messages as spelling
from bakery.engine.text.chat import Chat, Encoded
from bakery.engine.text.views import Span, View
from bakery.errors import StageError
from bakery.records import Message, Prompt

Targets = Mapping[int, Sequence[Span] | None]
"""Which messages are targets: None for a whole message, else character spans of its content."""

_PRIVATE = re.compile("[\U000f0000-\U0010ffff]")
_THINKING = re.compile(
    r"\s*(?:<think>)?\s*(?P<thought>.*?)\s*</think>\s*(?P<answer>.*?)\s*", re.DOTALL
)
_OPENED = re.compile(r"<think>\s*\Z")
_CLOSED = re.compile(r"\s*</think>\s*")
_KINDS = ("thought", "answer", "call")
_NEAR = 64
"""Characters to look back for a tag that stands before a thought."""


def target_view(
    chat: Chat, messages: Sequence[Message], tools: Sequence[dict[str, Any]], targets: Targets
) -> View:
    """Render and tokenise the conversation once, and find its targets, in order.

    A target has one span, or with character spans one for each that holds a token. A last turn
    that lacks a part of the generation prompt is put behind it.
    """
    text = chat.rendered(messages, tools)
    places = _places(chat, messages, tools, sorted(targets), text)
    tokens = chat.encoded(text)
    ids, spans, remarks = list(tokens.ids), list[Span](), list[str]()
    for index, place in places.items():
        is_last = index == len(messages) - 1
        (start, stop), more = _whole(chat, tokens, text, place, is_last=is_last)
        chosen = targets[index]
        if chosen is None:
            ids += more
            found = [(start, stop)]
            has_end = start < stop and ids[stop - 1] in chat.end_ids
            remarks += [] if has_end or place.then == "nothing" else [turns.NO_END]
        else:
            found = list(_matching(tokens, place, chosen))
        if place.behind_prompt and is_last and len(places) == 1:
            prefix = chat.prefix_ids(Prompt((), tuple(tools)), messages[:index])
            moved = len(prefix) - start
            ids = [*prefix, *ids[start:stop]]
            found = [(first + moved, last + moved) for first, last in found]
        elif place.behind_prompt:
            remarks += [turns.OTHERWISE]
        remarks += [place.remark]
        is_marked = "</think>" in str(messages[index].get("content"))
        remarks += [turns.UNKNOWN_MARKS] if is_marked and not turns.knows_marks(chat) else []
        spans += found
    kept = tuple(dict.fromkeys(remark for remark in remarks if remark))
    return View(tuple(ids), tuple(s for s in spans if s[0] < s[1]), kept)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message's own text lies in the rendering, and which part of its content is where.

    `parts` are (offset in the content, offset in the text, length). `then` says what else is a
    target: nothing, what the template writes up to an end of turn, or all up to it.
    """

    start: int
    stop: int
    parts: tuple[tuple[int, int, int], ...]
    then: Literal["nothing", "end", "calls"]
    behind_prompt: bool = False
    """Whether in use something else stands before it: the generation prompt."""
    remark: str = ""
    """What a person should know of it; "": nothing."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A marked part of a message; `at` is its offset in the content, None where it is not in it."""

    kind: Literal["thought", "answer", "call"]
    text: str
    open: str
    close: str
    at: int | None


@dataclass(frozen=True, slots=True)
class _Marking:
    """Where markers go: inside a content's outer space or outside, around a thought or not.

    Calls are marked by their function's name, or by their id, where a template shows only that.
    """

    inside_front: bool
    inside_back: bool
    by_thought: bool
    by_id: bool


class _MisplacedError(StageError):
    """These markers do not say where the text lies; others may."""


def _places(
    chat: Chat,
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]],
    indices: Sequence[int],
    text: str,
) -> dict[int, _Place]:
    problem: StageError | None = None
    for marking in _markings([messages[i] for i in indices]):
        try:
            found = _found(chat, messages, tools, indices, text, marking)
        except _MisplacedError as error:
            problem = problem or error
            continue
        places: dict[int, _Place] = {}
        floor = 0
        for index in indices:
            place = _place(chat, messages, tools, index, found=found[index], text=text, floor=floor)
            places[index] = place
            floor = place.stop
        return places
    assert problem is not None
    raise problem


def _markings(targets: Sequence[Message]) -> Iterator[_Marking]:
    """Yield the ways to mark that differ for these messages, the most complete first."""
    contents = [m.get("content") or "" for m in targets]
    fronts = (False, True) if any(c != c.lstrip() for c in contents) else (False,)
    backs = (False, True) if any(c != c.rstrip() for c in contents) else (False,)
    thoughts = (False, True) if any("</think>" in c for c in contents) else (False,)
    calls = [call for m in targets for call in m.get("tool_calls") or ()]
    ids = (False, True) if calls and all(call.get("id") for call in calls) else (False,)
    for by_id, by_thought, front, back in product(ids, thoughts, fronts, backs):
        yield _Marking(front, back, by_thought, by_id)


def _found(
    chat: Chat,
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]],
    indices: Sequence[int],
    text: str,
    marking: _Marking,
) -> dict[int, list[tuple[_Piece, int]]]:
    """Return each target's pieces with their offsets in the text."""
    used = set(_PRIVATE.findall(text))
    marks = (c for c in map(chr, range(0xF0000, 0x110000)) if c not in used)
    changed = list(messages)
    pieces: dict[int, list[_Piece]] = {}
    for index in indices:
        changed[index], pieces[index] = _marked(messages[index], marking, marks)
    rendered = chat.rendered(changed, tools)
    known = {c for p in chain.from_iterable(pieces.values()) for c in (p.open, p.close)}
    hits = [m for m in _PRIVATE.finditer(rendered) if m.group() in known]
    at = {hit.group(): hit.start() - number for number, hit in enumerate(hits)}
    for index in indices:
        for piece in pieces[index]:
            if piece.open not in at or piece.close not in at:
                raise _MisplacedError(
                    f"the chat template does not show all of message {index + 1} "
                    f"({messages[index]['role']})",
                    hint="It may drop reasoning, or not know the role: leave that out of the "
                    "data, or of the targets.",
                )
    if len(at) != len(hits) or _without(rendered, hits) != text:
        raise _MisplacedError(
            "the chat template changes the text of the targets, so their place is not certain"
        )
    found = {i: [(piece, at[piece.open]) for piece in pieces[i]] for i in indices}
    for index, placed in found.items():
        for piece, start in placed:
            if at[piece.close] != start + len(piece.text) or not text.startswith(piece.text, start):
                raise _MisplacedError(
                    f"the chat template changes the text of message {index + 1} "
                    f"({messages[index]['role']})"
                )
    return found


def _without(text: str, hits: Sequence[re.Match[str]]) -> str:
    """Return the text without what was hit."""
    stops, starts = [0, *(hit.end() for hit in hits)], [*(hit.start() for hit in hits), len(text)]
    return "".join(text[stop:start] for stop, start in zip(stops, starts, strict=True))


def _marked(
    message: Message, marking: _Marking, marks: Iterator[str]
) -> tuple[Message, list[_Piece]]:
    """Return the message with markers in it, and what they enclose."""
    changed = dict(message)
    pieces: list[_Piece] = []

    def mark(kind: Literal["thought", "answer", "call"], text: str, at: int | None) -> str:
        piece = _Piece(kind, text, next(marks), next(marks), at)
        pieces.append(piece)
        return f"{piece.open}{text}{piece.close}"

    if (key := spelling.thought_key(message)) is not None:
        thought = message[key]
        marked = thought.replace(thought.strip(), mark("thought", thought.strip(), None), 1)
        changed |= dict.fromkeys((k for k in spelling.THOUGHTS if message.get(k)), marked)
    content = message.get("content") or ""
    split = _THINKING.fullmatch(content) if marking.by_thought else None
    if split and split["answer"]:
        start, stop = split.span("answer")
        stop = stop if marking.inside_back else len(content)
        marked = content[split.end("thought") : start]
        marked += mark("answer", content[start:stop], start) + content[stop:]
        front = content[: split.start("thought")]
        if split["thought"]:
            front += mark("thought", split["thought"], split.start("thought"))
        changed["content"] = front + marked
    elif content.strip():
        start = len(content) - len(content.lstrip()) if marking.inside_front else 0
        stop = len(content.rstrip()) if marking.inside_back else len(content)
        inner = mark("answer", content[start:stop], start)
        changed["content"] = content[:start] + inner + content[stop:]
    if message.get("tool_calls"):
        # One by one: calls that are one object would else be one copy, marked twice.
        changed["tool_calls"] = [deepcopy(call) for call in message["tool_calls"]]
        for call in changed["tool_calls"]:
            function = call.get("function", call)
            if "name" not in function:
                raise StageError("a tool call has no function name")
            where, name = (call, "id") if marking.by_id else (function, "name")
            where[name] = mark("call", str(where[name]), None)
    return changed, pieces


def _place(
    chat: Chat,
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]],
    index: int,
    *,
    found: Sequence[tuple[_Piece, int]],
    text: str,
    floor: int,
) -> _Place:
    """Put a message's pieces together: thought, answer and calls are one text of the model's."""
    content = messages[index].get("content") or ""
    parts = tuple(sorted((p.at, at, len(p.text)) for p, at in found if p.at is not None))
    ranges = {
        kind: [(at, at + len(p.text)) for p, at in found if p.kind == kind] for kind in _KINDS
    }
    thoughts, answers, calls = (ranges[kind] for kind in _KINDS)
    first, stop = min(at for _, at in found), max(at + len(p.text) for p, at in found)
    if messages[index]["role"] != "assistant":
        return _Place(first, stop, parts, "nothing")
    begun = turns.begin(chat, messages, tools, index, text, (floor, first))
    then: Literal["end", "calls"] = "calls" if calls else "end"
    if not thoughts and not answers:
        return _calling(begun, text, (first, stop), parts)
    if not thoughts:
        start, is_behind, remark = _spoken(chat.header(tools), begun, text, first, content)
        is_shut = marks.ends_shut((text[:start] + begun.lacks * is_behind)[-_NEAR:])
        remark = turns.TWO_THOUGHTS if is_shut and "</think>" in content else remark
        return _Place(start, stop, parts, then, is_behind, remark)
    tag = _tag_before(text, thoughts[0][0])
    if tag is not None and text.startswith(content.strip(), tag):
        lead = len(content) - len(content.lstrip())
        parts = ((lead, tag, len(content.strip())),)
    if begun.is_sure and not begun.lacks:
        return _Place(begun.at, stop, parts, then)
    closed = _CLOSED.match(text, thoughts[0][1])
    if tag is None or closed is None or (answers and closed.end() != answers[0][0]):
        raise StageError("the chat template shows reasoning in a way that bakery cannot read")
    return _Place(tag, stop, parts, then, remark=turns.OTHERWISE)


def _calling(
    begun: turns.Begin,
    text: str,
    place: tuple[int, int],
    parts: tuple[tuple[int, int, int], ...],
) -> _Place:
    """Place a turn without a text: behind its header, and an empty thought that is added."""
    first, stop = place
    if not begun.is_sure and begun.at == first:
        raise StageError("a turn that only calls tools has no place of its own in the template")
    start = marks.empty_at(text, begun.at)
    remark = turns.ADDED if start > begun.at else ""
    if marks.opened(begun.lacks):
        return _Place(start, stop, parts, "calls", remark=turns.OPENED)
    return _Place(start, stop, parts, "calls", bool(begun.lacks), remark)


def _spoken(
    header: str, begun: turns.Begin, text: str, first: int, content: str
) -> tuple[int, bool, str]:
    """Return where a text begins to be learnt, whether behind the generation prompt, a remark."""
    if mark := marks.opened(begun.lacks):
        given = mark.strip()
        if text.startswith(given, first):  # with other space behind the mark
            inside = first + len(given)
            return inside + len(text[inside:]) - len(text[inside:].lstrip()), True, ""
        if marks.closing(given) in content:
            return first, True, ""
        return first, False, turns.OPENED
    if begun.lacks:
        is_other = bool(text[begun.at : first].strip())
        return first, not is_other, turns.OTHERWISE if is_other else ""
    added = text[begun.at : first]
    kind = turns.lead(header, added)
    if begun.at >= first or kind == "own":
        return begun.at, False, ""
    return first, False, turns.ADDED if kind == "thought" else turns.OTHERWISE


def _tag_before(text: str, thought: int) -> int | None:
    """Return where the tag begins that stands before a thought; None: there is none."""
    near = max(0, thought - _NEAR)
    opened = _OPENED.search(text[near:thought])
    return near + opened.start() if opened else None


def _whole(
    chat: Chat, tokens: Encoded, text: str, place: _Place, *, is_last: bool
) -> tuple[Span, list[int]]:
    """Return the tokens of a message that is a target as a whole, and those that come behind all.

    These are an end of turn that is the header of the next one, where nothing follows yet.
    """
    first, stop = bisect_left(tokens.begins, place.start), bisect_left(tokens.begins, place.stop)
    if place.then == "nothing":
        return (first, stop), []
    tail, is_of_next = turns.tail(chat, "tool" if place.then == "calls" else "user")
    if place.then == "calls" and (is_last or turns.ends_calls(chat)):
        end = next((n for n in range(stop, len(tokens.ids)) if tokens.ids[n] in chat.end_ids), -1)
    elif place.then == "calls":
        end = -1
    else:
        is_there = bool(tail) and text.startswith(tail, place.stop)
        end = bisect_left(tokens.begins, place.stop + len(tail)) - 1 if is_there else -1
    if stop <= end and tokens.ids[end] in chat.end_ids:
        return (first, end + 1), []
    rest = text[place.stop :]
    if is_last and is_of_next and (place.then == "calls" or tail.startswith(rest)):
        missing = tail if place.then == "calls" else tail[len(rest) :]
        more = chat.tokenizer.encode(missing, add_special_tokens=False)
        return (first, len(tokens.ids) + len(more)), list(more)
    if place.then == "calls":
        raise StageError("a turn that calls tools has no end of turn in the template")
    follows = stop < len(tokens.ids) and tokens.begins[stop] == place.stop
    return (first, stop + (follows and tokens.ids[stop] in chat.end_ids)), []


def _matching(tokens: Encoded, place: _Place, chosen: Sequence[Span]) -> Iterator[Span]:
    """Yield the tokens that hold a character of a match; none counts twice."""
    done = bisect_left(tokens.begins, place.start)
    limit = bisect_left(
        tokens.begins, max((at + length for _, at, length in place.parts), default=0)
    )
    for begin, end in chosen:
        for offset, at, length in place.parts:
            left, right = max(begin, offset), min(end, offset + length)
            if left < right:
                low, high = left - offset + at, right - offset + at
                first = max(done, bisect_right(tokens.ends, low))
                done = max(first, min(limit, bisect_left(tokens.begins, high)))
                yield first, done
