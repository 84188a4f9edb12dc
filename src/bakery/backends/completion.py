"""One answer of an endpoint, as far as it can be read: a server may say anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bakery.engine.text.messages import THOUGHTS


@dataclass(frozen=True, slots=True)
class Completion:
    """What an endpoint answered; `finish` is its own word (`stop`, `length`, `tool_calls` …)."""

    text: str
    finish: str
    tool_calls: tuple[dict[str, Any], ...] = ()
    refusal: str = ""
    """What it said instead of an answer."""
    stopped_by: str | None = None
    """What ended it, if that was a text; "": no text did. None: the endpoint does not say."""
    thought: str = ""
    """What it thought before, where the server takes that out of the text."""
    prompt_tokens: int | None = None
    """How many tokens the server read. None: it does not say."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """How an endpoint goes on behind given tokens.

    `first` are log probabilities of the likeliest first tokens by their texts, `each` those of the
    tokens that it says; empty where the server gives none.
    """

    text: str
    first: Mapping[str, float]
    each: tuple[float, ...]


def continuation(answer: Any) -> Continuation:
    """Return how an endpoint goes on; TypeError and the like where that is no answer."""
    choice = answer.choices[0]
    if not isinstance(choice.text, str):
        raise TypeError(f"the text is {choice.text!r:.60}")
    told = getattr(choice, "logprobs", None)
    # As OpenAI has them; or, of llama-server, token by token, as in the answer of a chat.
    lists = getattr(told, "top_logprobs", None) or [{}]
    tokens = getattr(told, "content", None) or ()
    tops = [(top["token"], top["logprob"]) for top in tokens[0]["top_logprobs"]] if tokens else ()
    first = {str(token): float(value) for token, value in tops or (lists[0] or {}).items()}
    values = [one["logprob"] for one in tokens] or getattr(told, "token_logprobs", None) or ()
    return Continuation(_written(choice.text), first, tuple(map(float, values)))


def completion(answer: Any) -> Completion:
    """Return what an endpoint said; TypeError and the like where that is no answer.

    Fields are missing, or hold what no field of that name holds.
    """
    choice = answer.choices[0]
    calls = tuple(call.model_dump() for call in choice.message.tool_calls or ())
    content = choice.message.content
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    apart = (getattr(choice.message, name, None) for name in THOUGHTS)
    thought = next((said for said in apart if isinstance(said, str) and said.strip()), "")
    read = getattr(getattr(answer, "usage", None), "prompt_tokens", None)
    return Completion(
        _written("".join(_texts(parts, "text"))),
        str(choice.finish_reason or "unknown").lower(),
        calls,
        _written(getattr(choice.message, "refusal", None) or ""),
        _stopped_by(choice),
        _written(thought or "".join(_texts(parts, "thinking"))),
        read if isinstance(read, int) and read > 0 else None,
    )


def _texts(parts: Any, kind: str) -> Iterator[str]:
    """Yield the texts of one kind among the parts of a content; TypeError where it has others."""
    for part in parts:
        if not isinstance(part, dict) or part.get("type", "text") not in _PARTS:
            raise TypeError(f"a part of the content is {part!r:.60}")
        name = _PARTS[part.get("type", "text")]
        if (name == "text") != (kind == "text"):
            continue
        said = part.get(name, part.get("text"))
        if isinstance(said, list):
            yield from _texts(said, "text")
        elif isinstance(said, str):
            yield said
        else:
            raise TypeError(f"a part of the content is {part!r:.60}")


_PARTS = {
    "text": "text", "output_text": "text", "thinking": "thinking", "reasoning": "reasoning",
}  # fmt: skip
"""The kinds of parts that are text, and the key that holds it."""


def _written(text: str) -> str:
    """Return a text without half of a character pair, which could not be written down."""
    return text.encode("utf-8", "replace").decode()


def _stopped_by(choice: Any) -> str | None:
    """Return the text that ended an answer, "" where none did, and None where nobody says.

    vLLM and SGLang add a field that holds it, or the number of a token, or null.
    """
    for name in ("stop_reason", "matched_stop"):
        if hasattr(choice, name):
            said = getattr(choice, name)
            return said if isinstance(said, str) else ""
    return None
