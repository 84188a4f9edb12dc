"""The model in this process: base, and the parent's adapter on top of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from bakery.backends.base import Answer, AnswerRequest
from bakery.engine.models import adapters
from bakery.engine.models.models import BaseModel
from bakery.engine.packed.support import support_of
from bakery.engine.sampling.sampling import SampleRequest, Watch
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt
from bakery.variables import filled


class LocalModel:
    """A base model that may carry a parent's adapter; both doors sample through it.

    `watch` is told how far each batch of answers is.
    """

    def __init__(
        self,
        base: BaseModel,
        *,
        name: str = "",
        parent: Path | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.base, self.watch = base, watch
        self.name = name or base.id.name
        self.model: PreTrainedModel | PeftModel = (
            adapters.attach_parent(base.model, parent) if parent else base.model
        )

    @property
    def speaker(self) -> Speaker:
        """The model as it answers."""
        return Speaker(self.model, self.base.chat, self.watch)

    @property
    def notes(self) -> list[str]:
        """Say so where every row has to run its whole prompt."""
        why = support_of(self.base.model).refused
        return [f"{self.name}: no prompt is shared between answers, as {why}"] if why else []

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield sampled answers to messages behind a prompt, batch by batch."""
        prefixed = [
            SampleRequest(r.key, tuple(self.prefix(prompt, r.messages, settings)))
            for r in requests
            for prompt in (filled(teacher, r.values),)
        ]
        for batch in self.speaker.says(prefixed, settings):
            yield [Answer(s.key, s.ids, self.base.chat.text(s.ids), s.finish) for s in batch]

    def prefix(
        self,
        prompt: Prompt,
        messages: Sequence[Message],
        settings: SamplingSettings,
        *,
        limit: str = "TARGET.max_tokens",
    ) -> list[int]:
        """Return the ids before the response, or refuse what does not fit the context.

        `limit` is the setting that says how long the response may be.
        """
        ids = self.base.chat.prefix_ids(prompt, messages)
        room = self.base.context - settings.max_tokens
        if len(ids) > room:
            raise ConfigError(
                f"the prompt takes {len(ids)} tokens and the answer up to {settings.max_tokens}, "
                f"but {self.base.id.name} has a context of {self.base.context}",
                hint=f"Shorten the prompt or lower {limit}; nothing is cut silently.",
            )
        return ids


class AnsweringForAnother:
    """A model whose answers another one learns; which one it was is kept with them."""

    def __init__(self, model: LocalModel) -> None:
        self.name, self.answers = model.name, model.answers
        self._model = model

    @property
    def notes(self) -> list[str]:
        """Say who answered."""
        found = self._model.base.id
        said = f"{self.name} answered, not the parent: digest {found.digest[:16]}"
        return [said + (f", revision {found.revision}" if found.revision else "")]


def same_tokens(chat: Chat, base: Chat) -> bool:
    """Tell whether the ids of a model mean to the base what they mean to it."""
    ends = {chat.tokenizer.convert_ids_to_tokens(i) for i in chat.end_ids}
    own = {base.tokenizer.convert_ids_to_tokens(i) for i in base.end_ids}
    return chat.tokenizer.get_vocab() == base.tokenizer.get_vocab() and bool(ends & own)
