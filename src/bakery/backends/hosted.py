"""Hosted models that write questions, and hosted models that answer them.

Their texts become token ids of the base model; how an endpoint is spoken to is `endpoint`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bakery.backends.base import Answer, AnswerRequest, Reply, UserVoice, Wish
from bakery.backends.completion import Completion
from bakery.backends.endpoint import Endpoint, endpoint_for
from bakery.engine.text import marks, turns
from bakery.engine.text.chat import Chat
from bakery.engine.text.rendering import NestedTooDeeplyError
from bakery.errors import ModelError, StageError
from bakery.identity import SamplingSettings
from bakery.masking import MASK
from bakery.records import STOP_TEXT, Message, Prompt
from bakery.variables import filled

MAX_LIST_TOKENS = 8192
LONGEST_LIST = 60
WRITER_CONCURRENCY = 4
EMPTY, REFUSAL = "empty", "refusal"
"""How an answer ended that says nothing, or only why it says nothing. Neither is learnt."""

MOST_CHARS_PER_TOKEN = 64
"""Longer than the tokens of any vocabulary are on average."""


class HostedWriter:
    """Asks a hosted model for lists of questions, a few lists at a time."""

    speaks_as_user = False
    longest_list: int | None = LONGEST_LIST
    voice: UserVoice | None = None

    def __init__(self, endpoint: Endpoint) -> None:
        self.name = endpoint.model
        self._endpoint = endpoint

    def write(self, wish: Wish) -> list[Reply]:
        """Ask for as many lists as it takes; the endpoint's own errors say what is wrong."""
        arguments = {
            "messages": [{"role": "user", "content": wish.instruction}],
            **_basic(self._endpoint, wish.temperature, wish.max_tokens or MAX_LIST_TOKENS),
        }
        many = wish.lists or -(-wish.wanted // LONGEST_LIST)
        requests = {f"{wish.key}/{number}": arguments for number in range(many)}
        found: dict[str, Completion] = {}
        try:
            for name, completion in self._endpoint.complete_all(requests, WRITER_CONCURRENCY):
                found[name] = completion
        except StageError:
            if not found:  # else the next round meets it again, and this one is kept
                raise
        most = MOST_CHARS_PER_TOKEN * (wish.max_tokens or MAX_LIST_TOKENS)
        return [
            Reply(c.text[:most], _ended(c) and len(c.text) <= most)
            for _, c in sorted(found.items())
        ]


def writer_for(model: str, environment: Mapping[str, str] = os.environ) -> HostedWriter | str:
    """Return the writer of a hosted model's name, or the reason why it cannot be reached."""
    found = endpoint_for(model, environment)
    return found if isinstance(found, str) else HostedWriter(found)


class HostedSampler:
    """Answers in parallel requests; the texts become ids of the base model's tokenizer."""

    def __init__(self, endpoint: Endpoint, chat: Chat, *, concurrency: int) -> None:
        self.name = endpoint.model
        self._endpoint, self._chat, self._concurrency = endpoint, chat, concurrency
        self._end = end_behind(chat)
        self._untold = 0
        """Answers that may have been ended by a text of `stop`."""
        self._thoughtless = 0
        """Answers whose thoughts the template of the base has no place for."""
        self._bare = 0
        """Answers without a thought, where the template of the base writes one before each."""

    @property
    def notes(self) -> list[str]:
        """Say where its words come from, and what is not known of them."""
        notes = [f"{self.name} answered at {self._endpoint.provider.name}, not the parent"]
        if self._untold:
            notes.append(
                f"{self.name} does not say whether a text of `stop` ended an answer: "
                f"{self._untold} have an end of turn that may not be theirs"
            )
        if self._endpoint.masked:
            notes.append(
                f"{self.name} said a key or password of this machine back in "
                f"{self._endpoint.masked} answers: {MASK} stands in its place, and would be learnt"
            )
        if self._thoughtless:
            notes.append(
                f"{self.name} thought before {self._thoughtless} answers, where the base's chat "
                "template has no place for it: the answers alone are learnt"
            )
        if self._bare:
            notes.append(
                f"the base's chat template puts a thought before every answer, and {self._bare} of "
                f"{self.name} have none: they are learnt without"
            )
        return notes

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield each answer as it comes."""
        own = self._endpoint.is_own
        prompts = {request.key: filled(teacher, request.values) for request in requests}
        asked = {
            request.key: {
                "messages": [
                    _plain(m, own=own) for m in (*prompts[request.key].messages, *request.messages)
                ],
                **({"tools": list(teacher.tools)} if teacher.tools else {}),
                **_arguments(self._endpoint, settings, request.key),
            }
            for request in requests
        }
        messages = {request.key: request.messages for request in requests}
        for key, completion in self._endpoint.complete_all(asked, self._concurrency):
            self._refuse_endless(completion, settings.max_tokens)
            finish = self._finish(completion, settings.stop)
            said = finish not in (EMPTY, REFUSAL)
            behind, prompt = messages[key], prompts[key]
            ids = self._ids(completion, prompt, behind, finish) if said else []
            text = completion.text.strip() or completion.refusal or self._chat.decoded(ids)
            unread = self._unread(completion, prompt, behind)
            yield [Answer(key, tuple(ids), text, finish, unread)]

    def _unread(
        self, completion: Completion, teacher: Prompt, messages: Sequence[Message]
    ) -> tuple[int, int] | None:
        """Return how many tokens the server read of how many, where it cut the prompt.

        Its tokenizer may be another one: only what no tokenizer makes of that text is a cut.
        """
        read = completion.prompt_tokens
        if read is None:
            return None
        takes = len(self._chat.prefix_ids(teacher, messages))
        chars = sum(len(str(m.get("content") or "")) for m in (*teacher.messages, *messages))
        least = FEWEST_READ * min(takes, chars / CHARS_PER_TOKEN)
        return (read, takes) if read < least and takes - read >= FEWEST_MISSING else None

    def _finish(self, completion: Completion, stop: Sequence[str]) -> str:
        """Return how an answer ended: `stop`, where an end of its turn belongs behind it."""
        if completion.refusal:
            return REFUSAL
        if not _ended(completion):
            return "length" if completion.finish in _TOO_LONG else completion.finish
        if completion.tool_calls:
            return "stop"
        if completion.finish == "stop_sequence" or completion.stopped_by in stop:
            return STOP_TEXT
        if not completion.text.strip():
            return EMPTY  # else the student would learn to end its turn at once
        told = completion.stopped_by is not None or completion.finish in _OWN_END
        self._untold += bool(stop) and not told
        return "stop"

    def _refuse_endless(self, completion: Completion, max_tokens: int) -> None:
        """Refuse a text that no `max_tokens` tokens could be: to tokenise it may take minutes."""
        length = len(completion.text) + len(completion.thought)
        if length > MOST_CHARS_PER_TOKEN * max_tokens:
            raise StageError(
                f"{self.name} answered with {length:,} characters, "
                f"though TARGET.max_tokens is {max_tokens}",
                hint="This endpoint ignores that limit; earlier answers are kept.",
            )

    def _ids(
        self, completion: Completion, teacher: Prompt, messages: Sequence[Message], finish: str
    ) -> list[int]:
        """Return the ids of an answer as the base would have said it; its end where it has one."""
        if completion.tool_calls:
            text = called(self._chat, teacher, messages, completion)
            ids = list(self._chat.tokenizer.encode(text, add_special_tokens=False))
            is_whole = finish == "stop" or not ids or ids[-1] not in self._chat.end_ids
            return ids if is_whole else ids[:-1]
        asked = self._chat.asked([*teacher.messages, *messages], teacher.tools)
        pieces = self._pieces(completion, asked, has_tools=bool(teacher.tools))
        end = [(self._end, True)] if finish == "stop" else []
        return turns.ids_said(self._chat, [*pieces, *end]) if pieces else []

    def _pieces(
        self, completion: Completion, asked: str, *, has_tools: bool
    ) -> list[tuple[str, bool]]:
        """Return an answer with its thought, as it follows the base's generation prompt.

        Servers give a thought apart, or in the text, with or without the mark that opens it. Empty
        where the answer was cut before anybody can say what of it is thought.
        """
        text, thought = completion.text, completion.thought.strip()
        if mark := marks.opened(asked):
            return self._behind_opened(completion, mark)
        split = _THOUGHT.match(text)
        if marks.ends_shut(asked):
            self._thoughtless += bool(thought or split)
            return [(split["answer"] if split else text, False)]
        around = turns.thought_around(self._chat)
        if not thought or around is None:
            self._thoughtless += bool(thought)
            lead, is_thought = turns.lead_of(self._chat, has_tools=has_tools)
            self._bare += is_thought and not split
            lead = "" if split else lead
            return [(lead, True), (text, False)] if text.strip() else []
        front = [(around[0], True), (thought, False)]
        return [*front, (around[1], True), (text.lstrip("\n"), False)] if text.strip() else front

    def _behind_opened(self, completion: Completion, mark: str) -> list[tuple[str, bool]]:
        """Return an answer behind a generation prompt that has opened a thought with `mark`."""
        text, thought = completion.text, completion.thought.strip()
        given = mark.strip()
        close = marks.closing(given)
        if close in text:
            if text.lstrip().startswith(given):
                text = text.lstrip()[len(given) :]
                text = text if mark == mark.rstrip() else text.lstrip()
            return [(text, False)]
        if thought and not text.strip():
            return [(thought, False)]
        if thought:
            _, between = turns.thought_around(self._chat, mark) or ("", f"\n{close}\n\n")
            return [(thought, False), (between, True), (text.lstrip("\n"), False)]
        if not _ended(completion):
            return []
        raise StageError(
            f"{self.name} answers without a thought, where the base's chat template has opened "
            f"one with {given}: the answer would be learnt as a part of it",
            hint="The server takes reasoning off, or the model has none. Let it return what it "
            "thinks (`reasoning_content`, or in the text), or start from a base model whose "
            "template opens no thought.",
        )


_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*(?P<answer>.*)", re.DOTALL)

FEWEST_READ = 0.6
"""The share of a prompt's tokens below which it is a cut, and not another tokenizer."""
CHARS_PER_TOKEN = 4.0
"""Of plain English, in today's vocabularies; the longest-grained come to 5."""
FEWEST_MISSING = 32
"""Tokens that a template of the server's own may leave out."""


def _ended(completion: Completion) -> bool:
    """Tell whether an answer came to an end of its own, whatever its endpoint calls that."""
    return completion.finish not in _TOO_LONG | _BROKEN_OFF


_TOO_LONG = frozenset({
    "length", "max_tokens", "max_length", "max_output_tokens", "model_length", "token_limit",
    "model_context_window_exceeded",
})  # fmt: skip
_BROKEN_OFF = frozenset({
    "content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii",
    "refusal", "repetition", "error", "abort", "aborted", "cancelled", "canceled", "incomplete",
    "time_limit", "insufficient_system_resource",
})  # fmt: skip
_OWN_END = ("eos", "eos_token", "end_turn")
"""Words of endpoints that have another one for a text of `stop`."""


def end_behind(chat: Chat) -> str:
    """Return what the base writes behind an answer, up to the token that ends its turn."""
    tail, _ = turns.tail(chat)
    if not tail:
        raise ModelError(
            "the base model's chat template does not end an answer with a token that ends a turn",
            hint="Texts of another model cannot follow its prompts: remove model_name.",
        )
    return tail


def called(chat: Chat, teacher: Prompt, messages: Sequence[Message], completion: Completion) -> str:
    """Return an answer that calls tools, in the words of the base model's template, to its end."""
    before = [*teacher.messages, *messages]
    answer: Message = {"role": "assistant", "content": completion.text}
    if completion.thought.strip():
        answer["reasoning_content"] = completion.thought.strip()
    asked = chat.asked(before, teacher.tools)
    try:
        calls = [_call(call) for call in completion.tool_calls]
        answer |= {"tool_calls": calls}
        told = chat.rendered([*before, answer], teacher.tools)
    except NestedTooDeeplyError:  # nested deeper than a template can write: the text is as it was
        answer |= {"tool_calls": [*completion.tool_calls]}
        told = chat.rendered([*before, answer], teacher.tools)
    whole = [*before, answer]
    begun = turns.begin(chat, whole, teacher.tools, len(before), told, (0, len(asked)))
    if not begun.is_sure or marks.opened(begun.lacks):
        raise ModelError(
            "the base model's chat template writes a tool call differently after its prompt",
            hint="Take `tools` out of the teacher prompt, or let a local model answer.",
        )
    said = told[begun.at :]
    names = [(str(call["function"].get("name", "")), str(call["id"])) for call in calls]
    if not all(name in said or (number and number in said) for name, number in names):
        raise ModelError(
            "the base model's chat template does not show tool calls",
            hint="Take `tools` out of the teacher prompt, or start from a base model whose "
            "template shows them.",
        )
    ends = [chat.decoded([i]) for i in chat.end_ids]
    stops = [at + len(end) for end in ends if end and (at := said.find(end)) >= 0]
    tail, is_of_next = turns.tail(chat, "tool")
    return said[: min(stops)] if stops else said + (tail if is_of_next else "")


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as templates read it: arguments as an object, not as JSON in a string."""
    function = dict(call.get("function") or {})
    # What is no JSON, or nested too deeply, stays the text that the model wrote.
    with suppress(ValueError, RecursionError):
        function["arguments"] = json.loads(function.get("arguments") or "{}")
    return {"type": "function", "id": call.get("id", ""), "function": function}


def _basic(endpoint: Endpoint, temperature: float, max_tokens: int) -> dict[str, Any]:
    arguments: dict[str, Any] = {endpoint.provider.limit: max_tokens, "temperature": temperature}
    if temperature == 1 and endpoint.provider.limit != "max_tokens":
        del arguments["temperature"]  # is the default there, and some models take no other
    return arguments


def _arguments(endpoint: Endpoint, settings: SamplingSettings, key: str) -> dict[str, Any]:
    """Return the settings as the endpoint takes them; what changes nothing is left out.

    A server of the user's own may have another default of `top_p`: it is told in any case.
    """
    arguments = _basic(endpoint, settings.temperature, settings.max_tokens)
    if endpoint.is_own:
        arguments["top_p"] = settings.top_p
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


def _plain(message: Message, *, own: bool) -> Message:
    """Return a message as endpoints take it: nothing that is not there, arguments as JSON.

    What was thought before it is for a server of the user's `own`: the others refuse it.
    """
    kept = {key: value for key, value in message.items() if value is not None or key == "content"}
    if not own:
        kept.pop("reasoning_content", None)
    if calls := kept.get("tool_calls"):
        kept["tool_calls"] = [_sent(call) for call in calls]
    return kept


def _sent(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as endpoints take it; templates want its arguments as an object."""
    function = call.get("function")
    if not isinstance(function, Mapping) or isinstance(function.get("arguments", ""), str):
        return dict(call)
    written = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": written}}
