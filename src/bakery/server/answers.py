"""From tokens to what OpenAI's API answers: whole, and in pieces as it grows."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakery.server.asking import Asked
from bakery.server.calls import Called
from bakery.server.text import Growing, Until, Words, named

if TYPE_CHECKING:
    from bakery.engine.serving.asking import Echo, Token

LEAST = -9999.0
"""What stands for the logarithm of nothing: JSON has no infinity."""

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A token with its log probability, and where its text begins in the answer."""

    id: int
    log_prob: float | None
    top: tuple[tuple[int, float], ...]
    begin: int
    is_end: bool = False


class Choice:
    """One answer as it grows."""

    def __init__(self, index: int, asked: Asked, words: Words) -> None:
        from bakery.engine.serving.asking import Token

        self.index, self.tokens, self.cached = index, 0, 0
        self.finish: str | None = None
        self.text, self.calls = "", list[Data]()
        self.entries: list[Entry] = []
        self.told = 0
        """How many of its entries a stream has told."""
        self._asked, self._growing, self._until = asked, Growing(words), Until(asked.stop)
        self._called = Called() if asked.may_call else None
        self._has_scores = asked.rows[index].top is not None
        self._words, self._token = words, Token
        self._grown = self._shown = 0
        if asked.echoed:
            self.text = asked.echoed[index]
            self._grown = self._shown = len(self.text)

    def take(self, event: Token | Echo) -> str:
        """Take what comes next, and return the text that is to be shown of it."""
        if not isinstance(event, self._token):
            self._take_prompt(event)
            self.finish = event.finish
            return ""
        token = event
        if self._asked.is_silent:
            self.finish = "length"
            return ""
        self.tokens += 1
        self.cached += token.cached
        is_end = token.finish == "stop"
        begin, grown = self._grown, "" if is_end else self._growing.add(token.id)
        if token.finish is not None:
            grown += self._growing.rest()
        self._grown += len(grown)
        text = self._until.add(grown)
        if self._has_scores:
            self.entries.append(Entry(token.id, token.log_prob, token.top, begin, is_end))
        if self._until.is_over:
            self.finish = "stop"
        elif token.finish is not None:
            self.finish, text = token.finish, text + self._until.rest()
        self._shown += len(text)
        if self._until.is_over:
            self.entries = [one for one in self.entries if one.begin < self._shown]
        return self._said(text)

    def due(self) -> list[Entry]:
        """Return the entries of what is shown by now and was not told yet."""
        shown = len(self.entries)
        if self.finish is None:
            shown = sum(entry.begin < self._shown for entry in self.entries)
        found, self.told = self.entries[self.told : shown], max(self.told, shown)
        return found

    def _said(self, text: str) -> str:
        """Return text without calls of tools, which are told by themselves."""
        if self._called is not None:
            text = self._called.add(text)
            if self.finish is not None:
                rest, self.calls = self._called.end()
                text += rest
                self.finish = "tool_calls" if self.calls else self.finish
        self.text += text
        return text

    def _take_prompt(self, echo: Echo) -> None:
        at = 0
        for id_, log_prob, top in zip(echo.ids, echo.log_probs, echo.tops, strict=True):
            self.entries.append(Entry(id_, log_prob, top, at))
            at += len(self._words.decoded([id_]))


class Answer(ABC):
    """The answer to one request, in the form of its endpoint; `choices` grow while it is told."""

    kind, chunk_kind, prefix = "", "", ""

    def __init__(self, asked: Asked, words: Words) -> None:
        self.asked, self.words = asked, words
        self.choices = [Choice(index, asked, words) for index in range(len(asked.rows))]

    def whole(self) -> Data:
        """Return it in one piece."""
        return {
            **self._head(self.kind),
            "choices": [self._choice(choice) for choice in self.choices],
            "usage": self._usage(),
        }

    def begin(self) -> Iterator[Data]:
        """Yield what a stream begins with."""
        yield from ()

    @abstractmethod
    def piece(self, choice: Choice, text: str) -> Iterator[Data]:
        """Yield what a stream tells of a choice after a step."""

    def end(self) -> Iterator[Data]:
        """Yield what a stream ends with."""
        if self.asked.tells_usage:
            yield {**self._head(self.chunk_kind), "choices": [], "usage": self._usage()}

    @abstractmethod
    def _choice(self, choice: Choice) -> Data:
        """Return a choice as an answer in one piece tells it."""

    def _head(self, kind: str) -> Data:
        return {
            "id": f"{self.prefix}-{self.asked.id}",
            "object": kind,
            "created": self.asked.created,
            "model": self.asked.model,
            "system_fingerprint": f"fp_{self.words.base.digest[:12]}",
        }

    def _chunk(self, choice: Data) -> Data:
        usage: Data = {"usage": None} if self.asked.tells_usage else {}
        return {**self._head(self.chunk_kind), "choices": [choice], **usage}

    def _usage(self) -> Data:
        said = sum(choice.tokens for choice in self.choices)
        return {
            "prompt_tokens": self.asked.prompt_tokens,
            "completion_tokens": said,
            "total_tokens": self.asked.prompt_tokens + said,
            "prompt_tokens_details": {"cached_tokens": self._cached()},
        }

    def _cached(self) -> int:
        """Return how much of the prompts nobody had to run: of each once, as they are counted."""
        found: dict[tuple[int, ...], int] = {}
        for row, choice in zip(self.asked.rows, self.choices, strict=True):
            found[row.ids] = min(choice.cached, found.get(row.ids, choice.cached))
        return sum(found.values())


class ChatAnswer(Answer):
    """What POST /v1/chat/completions answers."""

    kind, chunk_kind, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def begin(self) -> Iterator[Data]:
        """Yield who speaks."""
        for choice in self.choices:
            yield self._delta(choice, {"role": "assistant", "content": "", "refusal": None})

    def piece(self, choice: Choice, text: str) -> Iterator[Data]:
        """Yield what a stream tells of a choice after a step."""
        if text:
            yield self._delta(choice, {"content": text})
        if choice.calls:
            calls = [{"index": at, **call} for at, call in enumerate(choice.calls)]
            yield self._delta(choice, {"tool_calls": calls})
        if choice.finish is not None:
            yield self._delta(choice, {}, choice.finish)

    def _delta(self, choice: Choice, delta: Data, finish: str | None = None) -> Data:
        entries = choice.due()
        scores = self._scores(entries) if entries else None
        told = {"index": choice.index, "delta": delta, "logprobs": scores, "finish_reason": finish}
        return self._chunk(told)

    def _choice(self, choice: Choice) -> Data:
        calls: Data = {"tool_calls": choice.calls} if choice.calls else {}
        content = choice.text if choice.text or not calls else None
        has_scores = self.asked.rows[choice.index].top is not None
        return {
            "index": choice.index,
            "message": {"role": "assistant", "content": content, "refusal": None, **calls},
            "logprobs": self._scores(choice.entries) if has_scores else None,
            "finish_reason": choice.finish,
        }

    def _scores(self, entries: Sequence[Entry]) -> Data:
        """Return log probabilities; of the token that ends a turn nobody sees any."""
        return {"content": [self._entry(one) for one in entries if not one.is_end], "refusal": None}

    def _entry(self, entry: Entry) -> Data:
        top = [self._token(id_, log_prob) for id_, log_prob in entry.top]
        return {**self._token(entry.id, entry.log_prob), "top_logprobs": top}

    def _token(self, token: int, log_prob: float | None) -> Data:
        piece = self.words.piece(token)
        return {"token": named(piece), "logprob": _finite(log_prob), "bytes": list(piece)}


class TextAnswer(Answer):
    """What POST /v1/completions answers."""

    kind = chunk_kind = "text_completion"
    prefix = "cmpl"

    def piece(self, choice: Choice, text: str) -> Iterator[Data]:
        """Yield what a stream tells of a choice after a step."""
        if text or choice.finish is not None:
            told = choice.due()
            yield self._chunk(self._told(choice, text, told, choice.finish))

    def begin(self) -> Iterator[Data]:
        """Yield what was asked, where it is to stand before the answer."""
        for choice in self.choices:
            if choice.text:
                yield self._chunk(self._told(choice, choice.text, [], None))

    def _choice(self, choice: Choice) -> Data:
        return self._told(choice, choice.text, choice.entries, choice.finish)

    def _told(
        self, choice: Choice, text: str, entries: Sequence[Entry], finish: str | None
    ) -> Data:
        has_scores = self.asked.rows[choice.index].top is not None
        return {
            "index": choice.index,
            "text": text,
            "logprobs": self._scores(entries) if has_scores else None,
            "finish_reason": finish,
        }

    def _scores(self, entries: Sequence[Entry]) -> Data:
        tops = [self._tops(entry) for entry in entries]
        return {
            "tokens": [self._name(entry.id) for entry in entries],
            "token_logprobs": [_finite(entry.log_prob) for entry in entries],
            "top_logprobs": [top or None for top in tops],
            "text_offset": [entry.begin for entry in entries],
        }

    def _tops(self, entry: Entry) -> Data:
        """Return the likeliest tokens by their text; the one that came is always among them."""
        found: Data = {}
        for id_, log_prob in entry.top:  # of two with one text the likelier stays
            found.setdefault(self._name(id_), _finite(log_prob))
        if entry.log_prob is not None:
            found.setdefault(self._name(entry.id), _finite(entry.log_prob))
        return found

    def _name(self, token: int) -> str:
        return named(self.words.piece(token))


def event(data: Data) -> bytes:
    """Return one event of a stream."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def _finite(log_prob: float | None) -> float | None:
    return None if log_prob is None else max(log_prob, LEAST)
