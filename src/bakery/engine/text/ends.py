"""Which tokens end a turn: those that a model's files name, and the one that its template writes.

Tokenizer, generation_config.json and config.json may each name others, and all of them count. A
template's own end that none of them names is told to people: no answer would stop there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from bakery.errors import ConfigError, ModelError
from bakery.records import Message

_ANSWER, _NEXT = "§answer§", "§next§"
_SIGN = re.compile(r"<\|[^|<>\s]{1,40}\|>")
"""What looks like a token, whether the tokenizer knows it or not."""


def ids(*named: Any) -> list[int]:
    """Return every id that is named: each is an id, a list of them, or None."""
    found = set()
    for entry in named:
        for number in entry if isinstance(entry, list | tuple) else [entry]:
            if number is not None and type(number) is not int:
                raise ModelError(
                    f"eos_token_id names {number!r:.40}, which is no token's id",
                    hint="See generation_config.json and config.json of the model.",
                )
            if number is not None and number >= 0:  # -1 is how some write that there is none
                found.add(number)
    return sorted(found)


def unnamed(
    rendered: Callable[[Sequence[Message]], str], tokens: Collection[str], named: Collection[str]
) -> str | None:
    """Return a sentence where a template ends turns with what nothing names as an end.

    `tokens` are those beside the vocabulary, `named` those that end a turn. None: it ends them with
    one of these, or with none at all, or takes no such conversation.
    """
    said: list[Message] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": _ANSWER},
        {"role": "user", "content": _NEXT},
    ]
    try:
        behind = rendered(said).partition(_ANSWER)[2].partition(_NEXT)[0]
    except (ConfigError, TemplateError, TypeError, ValueError, KeyError, AttributeError):
        return None
    known = [text for text in tokens if text in behind]
    if any(text in behind for text in named):
        return None
    signs = sorted({*known, *_SIGN.findall(behind)}, key=lambda text: (behind.find(text), text))
    if not signs:
        return None
    why = (
        "which neither tokenizer nor generation_config.json names as an end"
        if signs[0] in known
        else "which is no token of the tokenizer"
    )
    return (
        f"the chat template ends turns with {signs[0]}, {why}: the end is not learnt, and answers "
        "run on behind it"
        + (" (name it in the model's generation_config.json, as eos_token_id)" if known else "")
    )
