"""Messages to token ids: the one rendering, shared by sampling, training and serving.

The only caller of `rendering`. Ids are the truth; text is for people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from bakery.engine.text import marks, rendering
from bakery.engine.text import messages as spelling
from bakery.engine.text.template import DAY, before_question
from bakery.errors import ConfigError, ModelError
from bakery.records import Message, Prompt

_MARK = "§bakery§"
_SPACE = "Ġ"  # How byte-level tokenizers write a space.
_THOUGHT = "<think>\nhm\n</think>\n\n"
TOOL = {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a text; `begins` and `ends` say which characters each token stands for.

    Both never fall. Tokens that are parts of one character share its place.
    """

    ids: list[int]
    begins: list[int]
    ends: list[int]


_NOW = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
"""How a template asks for today's date, in the format that is its second group."""
CLOCK_STOPPED = (
    f"the chat template writes the date into its prompts: it is {DAY:%d %b %Y} in all of them, "
    "so that the same bake is the same on any day"
)
MOST_PREFIXES = 64
"""Prefixes whose ids are kept: several answers to one question follow one another."""


class Chat:
    """A tokenizer with its template, and the ids that end a turn."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Sequence[int],
        *,
        template_kwargs: Mapping[str, Any] | None = None,
        rows: int | None = None,
    ) -> None:
        """`rows`: how many tokens the model has embeddings for; None: for all of them."""
        if not tokenizer.chat_template:
            raise ModelError(
                "this model has no chat template, so it is not a chat model",
                hint="Use an instruction-tuned variant, or add chat_template.jinja.",
            )
        self.tokenizer = tokenizer
        self.end_ids = frozenset(end_ids)
        self.template_kwargs = dict(template_kwargs or {})
        self._rows = rows
        self.reads_clock = bool(_NOW.search(str(tokenizer.chat_template)))
        """Whether the template writes today's date; `DAY` is written instead."""
        self._thoughts = spelling.thoughts_read(str(tokenizer.chat_template))
        self._text_arguments: bool | None = None
        """Whether the template wants the arguments of calls as text; None: not known yet."""
        self._headers: dict[bool, str] = {}
        self._changes: dict[frozenset[str], bool] = {}
        self._prefixes: dict[str, tuple[int, ...]] = {}
        self._spaces: dict[int, int] = {}

    @property
    def pad_id(self) -> int:
        """An id to fill rows with; what it is never matters, as it is masked."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else min(self.end_ids, default=0))

    def prefix_ids(self, prompt: Prompt, messages: Sequence[Message]) -> list[int]:
        """Return all ids before the response: prompt, messages, and the assistant's header."""
        given = [*prompt.messages, *messages], prompt.tools
        text = self.asked(*given)
        if text not in self._prefixes:
            out = self.tokenizer(text, add_special_tokens=False)
            if len(self._prefixes) == MOST_PREFIXES:
                del self._prefixes[next(iter(self._prefixes))]
            self._prefixes[text] = tuple(self._known(out["input_ids"]))
        return list(self._prefixes[text])

    def tokens_left(self, prompt: Prompt) -> int:
        """Return how many tokens stand before a question: of a prompt, or the template's own."""

        def render(messages: Sequence[Message], answering: bool) -> str:
            return self._apply(messages, prompt.tools, add_generation_prompt=answering)

        try:
            text = before_question(render, prompt.messages)
        except ConfigError:  # the template takes no such conversation
            return 0
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def rendered(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """Return the text of a finished conversation."""
        return self._apply(messages, tools)

    def asked(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """Return the text that a model continues with its answer."""
        return self._apply(messages, tools, add_generation_prompt=True)

    def encoded(self, text: str) -> Encoded:
        """Return the ids of rendered text, and where each token lies in it."""
        if not self.tokenizer.is_fast:
            raise ModelError(
                "this tokenizer cannot say where its tokens lie in the text",
                hint="Finished conversations need a fast tokenizer (tokenizer.json).",
            )
        out = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids = self._known(out["input_ids"])
        return Encoded(ids, *self._places(ids, out["offset_mapping"]))

    def _known(self, ids: Sequence[int]) -> list[int]:
        """Return ids, or refuse those that the model has no embeddings for: pictures, say."""
        if self._rows is not None and (largest := max(ids, default=0)) >= self._rows:
            raise ConfigError(
                f"the text holds {self.decoded([largest])}, which the tokenizer knows and the "
                "model has no embedding for",
                hint="It stands for something else than text, a picture say: take it out.",
            )
        return list(ids)

    def header(self, tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """Return the generation prompt: the header of an answer, and thinking opened or shut.

        Templates may write another one where there are tools.
        """
        key = bool(tools)
        if key not in self._headers:
            question, some = [{"role": "user", "content": "?"}], [TOOL] if tools else []
            try:
                asked, told = self.asked(question, some), self.rendered(question, some)
            except ConfigError:  # it takes no such question, or no such tool
                asked = told = ""
            self._headers[key] = asked[len(told) :] if asked.startswith(told) else ""
        return self._headers[key]

    def changes_earlier_turns(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> bool:
        """Whether a later turn changes how an earlier answer, or what is before it, is rendered.

        A short conversation with the same features decides, once for each set of features. Where
        the template refuses that conversation the answer is yes, which is always safe.
        """
        traits = _traits(messages, tools)
        if traits not in self._changes:
            self._changes[traits] = self._probe(traits)
        return self._changes[traits]

    def _probe(self, traits: frozenset[str]) -> bool:
        first: Message = {"role": "assistant", "content": "a"}
        if "thought" in traits:
            first["content"] = f"{_THOUGHT}a"
        if "reasoning_content" in traits:
            first["reasoning_content"] = "hm"
        head = [{"role": "system", "content": "s"}] if "system" in traits else []
        begun = [*head, {"role": "user", "content": "q"}, first]
        later = [{"role": "user", "content": "r"}, {"role": "assistant", "content": "b"}]
        tools = [TOOL] if "tools" in traits else []
        try:
            whole = self.rendered([*begun, *later], tools)
            return not whole.startswith(self.rendered(begun, tools))
        except ConfigError:
            return True

    def _apply(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], **how: Any
    ) -> str:
        if not messages:
            raise ConfigError("there is no message to render")
        template = None
        if self.reads_clock:
            template = self.tokenizer.get_chat_template(tools=list(tools) or None)
            template = _NOW.sub(lambda call: repr(DAY.strftime(call[2])), template)
        how["template"] = template
        said = [spelling.as_read(message, self._thoughts) for message in messages]
        if self._text_arguments is None and any(spelling.arguments_of(said)):
            self._text_arguments = spelling.wants_text(
                lambda told: self._render(told, tools, how), said
            )
        if self._text_arguments:
            said = [spelling.with_text_arguments(message) for message in said]
        return self._render(said, tools, how)

    def _render(
        self, said: Sequence[Message], tools: Sequence[Mapping[str, Any]], how: Mapping[str, Any]
    ) -> str:
        try:
            return rendering.text_of(self.tokenizer, said, tools, **how, **self.template_kwargs)
        except rendering.RefusedByTemplateError as error:
            roles = ", ".join(str(m.get("role")) for m in said)
            hint = (
                "Some templates have no system role, or want user and assistant to alternate: "
                "put the text into a user message."
            )
            if any(m.get("tool_calls") for m in said):
                hint += " Of its tool calls, look at the `arguments`, and whether they have ids."
            raise ConfigError(
                f"the base model's chat template refuses these messages ({roles}): {error}",
                hint=hint,
            ) from error

    def _places(
        self, ids: Sequence[int], offsets: Sequence[tuple[int, int]]
    ) -> tuple[list[int], list[int]]:
        """Return where tokens begin and end; some tokenizers leave out the spaces in front."""
        if not ids:
            return [], []
        starts, stops = np.asarray(offsets).T
        distinct, which = np.unique(ids, return_inverse=True)
        spaces = np.asarray([self._spaces_before(i) for i in distinct.tolist()])[which]
        ends = np.maximum.accumulate(np.maximum(starts, stops))
        before = np.concatenate([[0], ends[:-1]])
        begins = np.where(starts > before, np.maximum(before, starts - spaces), starts)
        return begins.tolist(), ends.tolist()

    def _spaces_before(self, token_id: int) -> int:
        """Return how many spaces a token begins with."""
        if token_id not in self._spaces:
            token = self.tokenizer.convert_ids_to_tokens(token_id)
            self._spaces[token_id] = len(token) - len(token.lstrip(_SPACE))
        return self._spaces[token_id]

    def text(self, ids: Sequence[int]) -> str:
        """Return what a person reads: no special tokens, no surrounding space."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def thought_begun(self, prefix_ids: Sequence[int]) -> str:
        """Return the mark of reasoning that the template has opened for the answer, or nothing."""
        return marks.opened(self.decoded(prefix_ids)).rstrip()

    def decoded(self, ids: Sequence[int]) -> str:
        """Return the text of ids as they are, special tokens included."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def decoded_places(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return where each token begins and ends in the decoded text.

        Decodes a few tokens at a time, up to the next whole character, behind the few before
        them (some decoders drop a space in front). Exact for byte-level tokenizers; tokens that
        are parts of one character share its place.
        """
        begins: list[int] = []
        ends: list[int] = []
        before = start = end = 0
        known = 0
        for at in range(1, len(ids) + 1):
            piece = self.decoded(ids[before:at])
            if piece.endswith("\ufffd") and at < len(ids):
                continue
            begin, end = end, end + len(piece) - known
            begins += [begin] * (at - start)
            ends += [end] * (at - start)
            before, start = start, at
            known = len(self.decoded(ids[before:at]))
        return begins, ends

    def user_turn_ids(self, prompt: Prompt | None = None) -> list[int]:
        """Return the ids that come before a user's first words, so that a user can be sampled.

        Behind a prompt, where there is one; else behind what the template writes by itself.
        """
        before = [*prompt.messages] if prompt else []
        tools = prompt.tools if prompt else ()
        asked = [*before, {"role": "user", "content": _MARK}]
        told = self._apply(asked, tools).split(_MARK)[0]
        return list(self.tokenizer.encode(told, add_special_tokens=False))


def _traits(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return what is known to make templates treat earlier turns in another way."""
    traits = {"tools"} if tools else set()
    for message in messages:
        if message["role"] == "system":
            traits.add("system")
        if spelling.thought_key(message):
            traits.add("reasoning_content")
        if "</think>" in str(message.get("content")):
            traits.add("thought")
    return frozenset(traits)
