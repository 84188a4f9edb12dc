"""Messages to token ids: the one rendering, shared by sampling, training and serving.

The only caller of `apply_chat_template`. Ids are the truth; text is for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from bakery.errors import ConfigError, ModelError
from bakery.records import Message, Prompt

_MARK = "§bakery§"


class Chat:
    """A tokenizer with its template, and the ids that end a turn."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Sequence[int],
        *,
        template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if not tokenizer.chat_template:
            raise ModelError(
                "this model has no chat template, so it is no chat model",
                hint="Use an instruction-tuned variant, or add chat_template.jinja.",
            )
        self.tokenizer = tokenizer
        self.end_ids = frozenset(end_ids)
        self.template_kwargs = dict(template_kwargs or {})

    @property
    def pad_id(self) -> int:
        """An id to fill rows with; what it is never matters, as it is masked."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else min(self.end_ids, default=0))

    def prefix_ids(self, prompt: Prompt, messages: Sequence[Message]) -> list[int]:
        """Return all ids before the response: prompt, messages, and the assistant's header."""
        conversation = [*prompt.messages, *messages]
        try:
            encoded = self.tokenizer.apply_chat_template(
                conversation,
                tools=list(prompt.tools) or None,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                **self.template_kwargs,
            )
        except TemplateError as error:
            roles = ", ".join(str(m.get("role")) for m in conversation)
            raise ConfigError(
                f"the base model's chat template refuses these messages ({roles}): {error}",
                hint="Some templates know no system role, or want user and assistant in turn: "
                "put the text into a user message.",
            ) from error
        return list(encoded["input_ids"])

    def answer_ids(self, text: str) -> list[int]:
        """Return the ids of an answer that exists only as text, its end of turn included."""
        ids = list(self.tokenizer.encode(text, add_special_tokens=False))
        return [*ids, self.tokenizer.eos_token_id]

    def text(self, ids: Sequence[int]) -> str:
        """Return what a person reads: no special tokens, no surrounding space."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def user_turn_ids(self) -> list[int]:
        """Return the ids that come before a user's first words, so that a user can be sampled."""
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": _MARK}], tokenize=False, **self.template_kwargs
        )
        before = str(rendered).split(_MARK)[0]
        return list(self.tokenizer.encode(before, add_special_tokens=False))
