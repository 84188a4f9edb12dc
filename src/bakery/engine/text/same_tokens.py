"""Whether two models read and write the same tokens, so that one can learn from the other's.

Compared are the ids of all tokens, the ids of texts, and those of rendered conversations; no
weight is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError
from bakery.records import Message, Prompt

TEXTS = (
    "The quick brown fox, isn't it?  12345 6.78\n\n\tdef f(x):\n        return x['a'] // 2\r\n",
    "Ünïcödé — “quotes” … 你好，世界 🙂🏽 наука ١٢٣ e\u0301 \u00a0\u200b end ",
    "  leading, trailing  \n<b>HTML</b> https://example.org/?q=1&r=%20 A_B-C i.e. I'LL WE'VE",
)
"""Where pre-tokenizers, normalisers and merges are known to differ."""


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


_ASKED = _said("user", "Who are you?")
_TURNS = (_ASKED, _said("assistant", "A model."), _said("user", " And now?\n"))
SHAPES: Sequence[tuple[Prompt, Sequence[Message]]] = (
    (Prompt(), (_ASKED,)),
    (Prompt((_said("system", "Be brief."),)), (_ASKED,)),
    (Prompt(), _TURNS),
    (Prompt((_said("system", "Be brief."),)), _TURNS),
)
"""Conversations that are rendered by both."""


def difference(chat: Chat, other: Chat) -> str | None:
    """Return what first differs between two models' tokens, in words; None: nothing does."""
    return next(_differences(chat, other), None)


def _differences(chat: Chat, other: Chat) -> Iterator[str]:
    both = chat.tokenizer, other.tokenizer
    ours, theirs = ({i: token for token, i in one.get_vocab().items()} for one in both)
    for i in sorted(ours.keys() | theirs.keys()):
        if ours.get(i) != theirs.get(i):
            yield f"token {i} is {_named(ours.get(i))} here and {_named(theirs.get(i))} there"
            return
    special, their_special = (set(one.all_special_ids) for one in both)
    if special != their_special:
        first = min(special ^ their_special)
        where = "here" if first in special else "there"
        yield f"token {first}, {_named(ours.get(first))}, is a special one {where} alone"
    for text in TEXTS:
        a, b = (one(text, add_special_tokens=False)["input_ids"] for one in both)
        if a != b:
            yield f"a text is cut in another way: {_apart(ours, a, b)}"
    for prompt, messages in SHAPES:
        a, b = (_rendered(one, prompt, messages) for one in (chat, other))
        if a != b:
            roles = ", ".join(one["role"] for one in (*prompt.messages, *messages))
            yield f"the chat templates write a conversation ({roles}) differently: " + (
                _apart(ours, a, b) if a and b else "one of them refuses it"
            )
    if chat.end_ids != other.end_ids:
        first = min(chat.end_ids ^ other.end_ids)
        where = "here" if first in chat.end_ids else "there"
        yield f"token {first}, {_named(ours.get(first))}, ends a turn {where} alone"


def _rendered(chat: Chat, prompt: Prompt, messages: Sequence[Message]) -> list[int] | None:
    """Return the ids of a conversation; None where the template refuses it."""
    try:
        return list(chat.prefix_ids(prompt, messages))
    except ConfigError:
        return None


def _apart(tokens: dict[int, str], ours: Sequence[int], theirs: Sequence[int]) -> str:
    """Return the first place at which two rows of ids differ."""
    same = (at for at, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    at = next(same, min(len(ours), len(theirs)))
    named = [_named(tokens.get(ids[at])) if at < len(ids) else "nothing" for ids in (ours, theirs)]
    return f"at position {at}, {named[0]} here and {named[1]} there"


def _named(token: str | None) -> str:
    return "nothing" if token is None else repr(token)
