"""Hosted models that write questions, and hosted models that answer them.

Their texts become token ids of the base model; how an endpoint is spoken to is `endpoint`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bakery.backends.base import Answer, AnswerRequest, Reply
from bakery.backends.endpoint import Completion, Endpoint, endpoint_for
from bakery.engine.chat import Chat
from bakery.errors import ModelError, StageError
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt

MAX_LIST_TOKENS = 8192
LONGEST_LIST = 60
WRITER_CONCURRENCY = 4
MOST_CHARS_PER_TOKEN = 64
"""Longer than the tokens of any vocabulary are on average."""


class HostedWriter:
    """Asks a hosted model for lists of questions, a few lists at a time."""

    speaks_as_user = False
    longest_list: int | None = LONGEST_LIST

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.model
        self._endpoint = endpoint

    def write(
        self,
        instruction: str,
        *,
        key: str,
        wanted: int,
        temperature: float,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """Ask for as many lists as it takes; the endpoint's own errors say what is wrong."""
        arguments = {
            "messages": [{"role": "user", "content": instruction}],
            **_basic(self._endpoint, temperature, max_tokens or MAX_LIST_TOKENS),
        }
        lists = -(-wanted // LONGEST_LIST)
        requests = {f"{key}/{number}": arguments for number in range(lists)}
        found: dict[str, Completion] = {}
        try:
            for name, completion in self._endpoint.complete_all(requests, WRITER_CONCURRENCY):
                found[name] = completion
        except StageError:
            if not found:  # else the next round meets it again, and this one is kept
                raise
        return [Reply(c.text, c.finish != "length") for _, c in sorted(found.items())]


def writer_for(model: str, environment: Mapping[str, str] = os.environ) -> HostedWriter | str:
    """Return the writer of a hosted model's name, or the reason why it cannot be reached."""
    found = endpoint_for(model, environment)
    return found if isinstance(found, str) else HostedWriter(found)


class HostedSampler:
    """Answers in parallel requests; the texts become ids of the base model's tokenizer."""

    def __init__(self, endpoint: Endpoint, chat: Chat, *, concurrency: int) -> None:
        self.name = endpoint.model
        self._endpoint, self._chat, self._concurrency = endpoint, chat, concurrency
        self._end = end_of_turn(chat)

    @property
    def notes(self) -> list[str]:
        """Say where its words come from."""
        return [f"{self.name} answered at {self._endpoint.provider.name}, not the parent"]

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield each answer as it comes."""
        asked = {
            request.key: {
                "messages": [_plain(m) for m in (*teacher.messages, *request.messages)],
                **({"tools": list(teacher.tools)} if teacher.tools else {}),
                **_arguments(self._endpoint, settings, request.key),
            }
            for request in requests
        }
        messages = {request.key: request.messages for request in requests}
        for key, completion in self._endpoint.complete_all(asked, self._concurrency):
            self._refuse_endless(completion, settings.max_tokens)
            ids = self._ids(completion, teacher, messages[key])
            ended = completion.finish in ("stop", "tool_calls")
            finish = "stop" if ended else completion.finish
            text = completion.text.strip() or self._chat.decoded(ids[:-1] if ended else ids)
            yield [Answer(key, tuple(ids), text, finish)]

    def _refuse_endless(self, completion: Completion, max_tokens: int) -> None:
        """Refuse a text that no `max_tokens` tokens could be: to tokenise it may take minutes."""
        if len(completion.text) > MOST_CHARS_PER_TOKEN * max_tokens:
            raise StageError(
                f"{self.name} answered with {len(completion.text):,} characters, "
                f"though TARGET.max_tokens is {max_tokens}",
                hint="This endpoint does not keep to it; what was answered before is kept.",
            )

    def _ids(
        self, completion: Completion, teacher: Prompt, messages: Sequence[Message]
    ) -> list[int]:
        """Return the ids of an answer, with the end of the turn where it came to one."""
        text = completion.text
        if completion.tool_calls:
            text = called(self._chat, teacher, messages, completion)
        # A text that spells a special token stays text.
        ids = list(
            self._chat.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            if not completion.tool_calls
            else self._chat.tokenizer.encode(text, add_special_tokens=False)
        )
        return [*ids, self._end] if completion.finish in ("stop", "tool_calls") else ids


def end_of_turn(chat: Chat) -> int:
    """Return the id that the template puts behind an answer, where that ends a turn."""
    mark = "§"
    asked: list[Message] = [{"role": "user", "content": "?"}]
    rendered = chat.rendered([*asked, {"role": "assistant", "content": mark}])
    behind = chat.tokenizer.encode(rendered.rpartition(mark)[2], add_special_tokens=False)
    found = next((i for i in behind if i in chat.end_ids), None)
    if found is None:
        raise ModelError(
            "the base model's chat template does not end an answer with a token that ends a turn",
            hint="Texts of another model cannot be put behind its prompts: take model_name out.",
        )
    return int(found)


def called(chat: Chat, teacher: Prompt, messages: Sequence[Message], completion: Completion) -> str:
    """Return an answer that calls tools, in the words of the base model's template."""
    before = [*teacher.messages, *messages]
    calls = [_call(call) for call in completion.tool_calls]
    answer: Message = {"role": "assistant", "content": completion.text, "tool_calls": calls}
    asked = chat.rendered(before, teacher.tools)
    told = chat.rendered([*before, answer], teacher.tools)
    header = chat.generation_prompt
    if not told.startswith(asked + header):
        raise ModelError(
            "the base model's chat template writes a call of a tool differently behind its prompt",
            hint="Take `tools` out of the teacher prompt, or let a local model answer.",
        )
    said = told[len(asked + header) :]
    ends = [chat.decoded([i]) for i in chat.end_ids]
    return min((said.partition(end)[0] for end in ends if end), key=len, default=said)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as templates read it: arguments as an object, not as JSON in a string."""
    function = dict(call.get("function") or {})
    with suppress(ValueError):  # what is no JSON stays the text that the model wrote
        function["arguments"] = json.loads(function.get("arguments") or "{}")
    return {"type": "function", "id": call.get("id", ""), "function": function}


def _basic(endpoint: Endpoint, temperature: float, max_tokens: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {endpoint.provider.limit: max_tokens, "temperature": temperature}
    if temperature == 1 and endpoint.provider.limit != "max_tokens":
        del arguments["temperature"]  # is the default there, and some models take no other
    return arguments


def _arguments(endpoint: Endpoint, settings: SamplingSettings, key: str) -> dict[str, Any]:
    """Return the settings as the endpoint takes them; what changes nothing is left out."""
    arguments = _basic(endpoint, settings.temperature, settings.max_tokens)
    for name, neutral in (("top_p", 1.0), ("frequency_penalty", 0.0), ("presence_penalty", 0.0)):
        if (value := getattr(settings, name)) != neutral:
            arguments[name] = value
    if settings.stop:
        arguments["stop"] = list(settings.stop)
    if settings.seed is not None:  # several answers to a question need several seeds
        digest = hashlib.sha256(f"{settings.seed}/{key}".encode()).digest()
        arguments["seed"] = int.from_bytes(digest[:4], "big") >> 1
    further = dict(settings.endpoint)
    for name, neutral in (("top_k", 0), ("min_p", 0.0), ("repetition_penalty", 1.0)):
        if (value := getattr(settings, name)) != neutral:
            further[name] = value
    return arguments | {"extra_body": further} if further else arguments


def _plain(message: Message) -> Message:
    """Return a message as endpoints take it: nothing that is not there."""
    return {key: value for key, value in message.items() if value is not None or key == "content"}
