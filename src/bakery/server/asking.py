"""From what a client asks to rows that a batch can decode: names to models, messages to ids."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bakery.app.serve import Catalogue, Served
from bakery.errors import BakeryError
from bakery.identity import SamplingSettings, short_id
from bakery.records import Prompt
from bakery.server import calls, grammar, names
from bakery.server.errors import RequestError, told
from bakery.server.forms import ChatForm, TextForm
from bakery.server.text import Words
from bakery.server.thread import Row

if TYPE_CHECKING:
    from bakery.engine.serving.asking import Allowed

USUAL_TOKENS = 512
"""How long an answer of a chat may become where nobody says it, as in `bgit chat`."""

USUAL_TEXT_TOKENS = 16
"""The same of a completion, as OpenAI has it."""

LEAST_TEMPERATURE = 1e-20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is understood: a row for each choice, and how its answer is told."""

    model: str
    """The whole name of what answers, whatever it was called."""
    rows: tuple[Row, ...]
    prompt_tokens: int
    stop: tuple[str, ...] = ()
    is_streamed: bool = False
    tells_usage: bool = False
    """Whether a stream ends with what it took."""
    may_call: bool = False
    """Whether an answer may call tools."""
    echoed: tuple[str, ...] = ()
    """What stands before each answer, as it was asked for; empty: nothing does."""
    is_silent: bool = False
    """Whether nothing is to be said: only the prompt is measured."""
    grammar: str | None = None
    """What each answer is held to; None: nothing."""
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def held(self, holders: Sequence[Allowed]) -> Asked:
        """Return it with what holds each of its answers."""
        both = zip(self.rows, holders, strict=True)
        return replace(self, rows=tuple(replace(row, allowed=one) for row, one in both))


class Asking:
    """What understands requests; `most` rows may one ask for."""

    def __init__(self, catalogue: Catalogue, words: Words, *, most: int) -> None:
        self._catalogue, self._words, self._most = catalogue, words, most

    def chat(self, form: ChatForm) -> Asked:
        """Return the rows of a conversation."""
        served = names.served(self._catalogue, form.model)
        tools = self._tools(form)
        prompt = Prompt(served.prompt.messages, (*served.prompt.tools, *tools))
        said = [message.as_said() for message in form.messages]
        held_to = grammar.of(form, self._words.spelling)
        ids = self._checked(
            lambda: self._words.prefix(
                prompt, calls.with_objects(said), is_held=held_to is not None
            )
        )
        limit = form.max_completion_tokens or form.max_tokens
        settings = _settings(form, self._room(ids, limit, USUAL_TOKENS))
        top = (form.top_logprobs or 0) if form.logprobs else None
        rows = self._rows(form, served, [(ids, said)], settings, top)
        return Asked(
            served.name, rows, len(ids), tuple(form.stop or ()),
            is_streamed=bool(form.stream), tells_usage=_tells_usage(form), may_call=bool(tools),
            grammar=held_to,
        )  # fmt: skip

    def text(self, form: TextForm) -> Asked:
        """Return the rows of prompts that are continued as they are."""
        served = names.served(self._catalogue, form.model)
        if served.prompt != Prompt():
            raise names.prompted_text(served)
        given = form.prompts()
        prompts = [self._prompt(one) for one in given]
        limit = USUAL_TEXT_TOKENS if form.max_tokens is None else form.max_tokens
        # A row that does not tell its prompt has to say something to be one.
        least = 0 if form.echo and form.logprobs is not None else 1
        rooms = [self._room(ids, max(limit, least), 0) for ids in prompts]
        settings = _settings(form, min(rooms))
        asked = [(ids, list(ids)) for ids in prompts]
        rows = self._rows(form, served, asked, settings, form.logprobs, echo=bool(form.echo))
        texts = [
            one if isinstance(one, str) else self._words.decoded(one)
            for one in given
            for _ in range(form.n or 1)
        ]
        return Asked(
            served.name, rows, sum(map(len, prompts)), tuple(form.stop or ()),
            is_streamed=bool(form.stream), tells_usage=_tells_usage(form),
            echoed=tuple(texts) if form.echo else (), is_silent=form.max_tokens == 0,
        )  # fmt: skip

    def _tools(self, form: ChatForm) -> tuple[dict[str, Any], ...]:
        if not form.tools or form.tool_choice == "none":
            return ()
        if not self._words.shows_tools():
            raise RequestError(
                400, f"The chat template of {self._catalogue.base_name} shows a model no tools, "
                "so none would be called.", code="unsupported_parameter", param="tools",
            )  # fmt: skip
        return tuple(tool.as_said() for tool in form.tools)

    def _prompt(self, given: str | list[int]) -> tuple[int, ...]:
        """Return the ids of a prompt; RequestError where the model has none for it."""
        ids = tuple(given) if isinstance(given, list) else self._words.ids(given)
        if not ids:
            raise RequestError(400, "A prompt is empty: there is nothing to continue.",
                               param="prompt")  # fmt: skip
        if max(ids) >= self._words.rows:
            raise RequestError(
                400, f"A prompt holds the token id {max(ids)}; the model has {self._words.rows}.",
                param="prompt",
            )  # fmt: skip
        return ids

    def _checked(self, render: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
        try:
            return render()
        except BakeryError as error:
            said = told(self._catalogue.without_paths(error))
            raise RequestError(400, said, param="messages") from None

    def _room(self, ids: Sequence[int], limit: int | None, usual: int) -> int:
        """Return how many tokens an answer may take; RequestError where it does not fit."""
        context = self._words.context
        left = context - len(ids)
        if left < (1 if limit is None else limit):
            wanted = f" and {limit} for the answer" if limit else ""
            raise RequestError(
                400, f"This model's maximum context length is {context} tokens. Your prompt has "
                f"{len(ids)}{wanted}.", code="context_length_exceeded", param="messages",
            )  # fmt: skip
        return min(left, usual) if limit is None else limit

    def _rows(
        self,
        form: ChatForm | TextForm,
        served: Served,
        asked: Sequence[tuple[tuple[int, ...], list[Any]]],
        settings: SamplingSettings,
        top: int | None,
        *,
        echo: bool = False,
    ) -> tuple[Row, ...]:
        """Return a row for each choice; what was asked, the seed and its place draw an answer."""
        count = form.n or 1
        if count * len(asked) > self._most:
            raise RequestError(
                400, f"That is {count * len(asked)} answers at once; this server takes "
                f"{self._most}.", param="n",
            )  # fmt: skip
        return tuple(
            Row(
                secrets.token_hex(8),
                secrets.token_hex(16) if form.seed is None else short_id([form.seed, at, said]),
                ids,
                settings,
                served.folder,
                served.strength,
                top,
                echo and top is not None,
            )
            for ids, said in asked
            for at in range(count)
        )


def _settings(form: ChatForm | TextForm, max_tokens: int) -> SamplingSettings:
    return SamplingSettings(
        1,
        max_tokens,
        temperature=_temperature(form.temperature),
        top_p=1.0 if form.top_p is None else float(form.top_p),
        top_k=max(0, form.top_k or 0),
        min_p=float(form.min_p or 0.0),
        repetition_penalty=float(form.repetition_penalty or 1.0),
        frequency_penalty=float(form.frequency_penalty or 0.0),
        presence_penalty=float(form.presence_penalty or 0.0),
    )


def _temperature(given: float | None) -> float:
    """Return a temperature that logits can be divided by; what is smaller draws the likeliest."""
    if given is None:
        return 1.0
    return float(given) if given >= LEAST_TEMPERATURE else 0.0


def _tells_usage(form: ChatForm | TextForm) -> bool:
    return bool(form.stream_options and form.stream_options.include_usage)
