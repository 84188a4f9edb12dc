"""Where a model begins and ends its turn: what stands there in use, and in finished turns.

In use a model goes on from the generation prompt, and speaks until a token that ends turns. What
a template writes around a finished answer is the model's own too, unless that prompt holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from bakery.engine.text import marks
from bakery.engine.text.chat import TOOL, Chat
from bakery.errors import ConfigError
from bakery.records import Message

_MARK = "§"
_ASKED: Message = {"role": "user", "content": "?"}
_CUT_TAG = re.compile(r"[<\[][^<>\[\]\s]*\Z")
_ROLES = ("assistant", "model", "bot", "gpt")

NO_END = "with answers that have no end of turn to learn, as the chat template puts none there"
ADDED = (
    "with answers behind a thought that the chat template adds and its generation prompt does not "
    "hold: in use the model writes one itself (template_kwargs can shut it, where the template "
    "has a switch)"
)
OPENED = (
    "with answers without a thought, though the generation prompt opens one: they are learnt where "
    "no answer begins in use (give them reasoning_content, or shut thinking in template_kwargs)"
)
UNKNOWN_MARKS = (
    "with thoughts between <think> marks, which neither the chat template nor the tokenizer knows: "
    "they are learnt as text (reasoning_content is written as the template has it)"
)
TWO_THOUGHTS = (
    "with a thought in their text, behind one that is shut already: in use nobody thinks there "
    "(give it as reasoning_content, or leave thinking on)"
)
UNSEEN_THOUGHTS = "with thoughts in their context that the chat template leaves out, as in use"
OTHERWISE = (
    "with answers that the chat template puts behind something else than its generation prompt: "
    "they are learnt where no answer begins in use"
)


def knows_marks(chat: Chat) -> bool:
    """Tell whether <think> marks mean something to a model: to its template, or as tokens."""
    known = chat.tokenizer.get_added_vocab()
    return "</think>" in known or "</think>" in str(chat.tokenizer.chat_template)


@dataclass(frozen=True, slots=True)
class Begin:
    """Where the model's own words begin in a rendered conversation.

    `lacks` is the end of the generation prompt that stands before them only in use. `is_sure`:
    the prompt was rendered to see it.
    """

    at: int
    lacks: str = ""
    is_sure: bool = True


def begin(
    chat: Chat,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    index: int,
    text: str,
    within: tuple[int, int],
) -> Begin:
    """Return where message `index` begins to be the model's own, in the text of all messages.

    `within` is what the messages before it take at least, and where its own first words are.
    """
    floor, first = within
    header = chat.header(tools)
    if header and text.endswith(header, floor, first):
        return Begin(first)
    try:
        asked = chat.asked(messages[:index], tools)
    except ConfigError:  # nobody has spoken yet, or not in turn
        asked = ""
    if asked and text.startswith(asked):
        return Begin(len(asked))
    at = min(_shared(asked, text), first)
    if (tag := _CUT_TAG.search(asked, 0, at)) is not None:  # both go on with a tag of their own
        at = tag.start()
    if asked and at >= len(asked) - len(header) and at >= floor:
        return Begin(at, asked[at:])
    bare = header[: len(header) - len(marks.opened(header))]
    found = text.rfind(bare, floor, first) if bare else -1
    return Begin(found + len(bare) if found >= 0 else first, is_sure=False)


def lead(header: str, added: str) -> Literal["own", "thought", "header"]:
    """Tell what a template adds between its generation prompt and the text of an answer."""
    if marks.is_of_thought(added):
        return "thought"
    is_header = not header and any(role in added.lower() for role in _ROLES)
    return "header" if is_header else "own"


@lru_cache(maxsize=8)
def is_put_behind(chat: Chat) -> bool:
    """Tell whether finished answers lack a part of the generation prompt, and can be put behind it.

    Only the last turn can: those before it are what they are in use, history.
    """
    text, at = _answered(chat)
    if at < 0:
        return False
    found = begin(chat, [_ASKED, {"role": "assistant", "content": _MARK}], (), 1, text, (0, at))
    return bool(found.lacks) and not marks.opened(found.lacks) and found.at == at


@lru_cache(maxsize=32)
def tail(chat: Chat, follows: str = "user") -> tuple[str, bool]:
    """Return what comes behind an answer, up to the token that ends its turn; "": none does.

    True: that token begins the next turn, of the role `follows`.
    """
    text, at = _answered(chat)
    if at >= 0 and (own := _to_end(chat, text[at + len(_MARK) :])):
        return own, False
    next_turn: Message = {"role": follows, "content": "?"}
    if follows == "tool":
        next_turn |= {"tool_call_id": "000000000", "name": "now"}
    try:
        text = chat.rendered([_ASKED, {"role": "assistant", "content": _MARK}, next_turn])
    except ConfigError:
        return "", False
    behind = text.rpartition(_MARK)[2].partition("?")[0]
    return _to_end(chat, behind), True


@lru_cache(maxsize=8)
def ends_calls(chat: Chat) -> bool:
    """Tell whether a turn that calls a tool ends before the tool's answer, as far as is known."""
    call = {"type": "function", "id": "000000000", "function": {"name": _MARK, "arguments": {}}}
    turns: list[Message] = [
        _ASKED,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "?", "tool_call_id": "000000000", "name": "now"},
    ]
    try:
        text = chat.rendered(turns, [TOOL])
    except ConfigError:
        return True
    behind = text.rpartition(_MARK)[2]
    return _MARK not in text or bool(_to_end(chat, behind.rpartition("?")[0]))


@lru_cache(maxsize=8)
def thought_around(chat: Chat, mark: str = "") -> tuple[str, str] | None:
    """Return what the template writes before a thought and between it and the answer.

    As the model writes it, behind the generation prompt, which may have opened it with a `mark`.
    None: it shows no thought.
    """
    thought, said = "§1§", "§2§"
    spelled: list[Message] = [{"content": said, "reasoning_content": thought}]
    if mark:
        inline = f"{mark}{thought}\n{marks.closing(mark.strip())}\n\n{said}"
        spelled.append({"content": inline})
    for fields in spelled:
        answer: Message = {"role": "assistant", **fields}
        try:
            text = chat.rendered([_ASKED, answer])
        except ConfigError:
            continue
        first, then = text.find(thought), text.find(said)
        if 0 <= first < then:
            found = begin(chat, [_ASKED, answer], (), 1, text, (0, first))
            if not found.lacks and found.is_sure:
                return text[found.at : first], text[first + len(thought) : then]
    return None


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _answered(chat: Chat, tools: Sequence[Mapping[str, Any]] = ()) -> tuple[str, int]:
    """Return a rendered answer, and where its text is; -1: nowhere."""
    try:
        text = chat.rendered([_ASKED, {"role": "assistant", "content": _MARK}], tools)
    except ConfigError:
        return "", -1
    return text, text.rfind(_MARK)


def _to_end(chat: Chat, behind: str) -> str:
    """Return a text up to the first token that ends a turn, that included; "": there is none."""
    ends = [end for end in (chat.decoded([i]) for i in chat.end_ids) if end]
    stops = [at + len(end) for end in ends if (at := behind.find(end)) >= 0]
    return behind[: min(stops)] if stops else ""


@lru_cache(maxsize=8)
def lead_of(chat: Chat, *, has_tools: bool = False) -> tuple[str, bool]:
    """Return what the model itself writes between the generation prompt and its text.

    True: it is a thought that the template adds, which nobody has thought; the text is "" then.
    """
    tools = (TOOL,) if has_tools else ()
    text, at = _answered(chat, tools)
    if at < 0:
        return "", False
    answer: Message = {"role": "assistant", "content": _MARK}
    found = begin(chat, [_ASKED, answer], tools, 1, text, (0, at))
    added = text[found.at : at]
    kind = lead(chat.header(tools), added)
    return added if kind == "own" and not found.lacks else "", kind == "thought"


def ids_said(chat: Chat, pieces: Sequence[tuple[str, bool]]) -> list[int]:
    """Return the ids of a turn in pieces: those that are True are the template's.

    Only there a text that spells a special token is that token.
    """
    added = chat.tokenizer.added_tokens_decoder.items()
    special = {token.content: number for number, token in added if token.special}
    pattern = "|".join(re.escape(t) for t in sorted(special, key=len, reverse=True)) or r"(?!)"
    found: list[int] = []
    plain = ""
    for text, is_ours in pieces:
        parts = re.split(f"({pattern})", text) if is_ours else [text]
        for number, part in enumerate(parts):
            if number % 2 == 0:  # what lies between two tokens goes on with the text around
                plain += part
                continue
            found += [*_plain_ids(chat, plain), special[part]]
            plain = ""
    return [*found, *_plain_ids(chat, plain)]


def _plain_ids(chat: Chat, text: str) -> list[int]:
    encode = chat.tokenizer.encode
    return encode(text, add_special_tokens=False, split_special_tokens=True) if text else []
