"""The model in this process: base, and the parent's adapter on top of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel

from bakery.backends.base import STOP_TEXT, Answer, AnswerRequest
from bakery.engine.models import adapters
from bakery.engine.models.models import BaseModel
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.packed.support import support_of
from bakery.engine.sampling.sampling import Sample, SampleRequest, Watch, sample
from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt


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
    def notes(self) -> list[str]:
        """Say so where every row has to run its whole prompt."""
        why = support_of(self.base.model).refused
        return [f"{self.name}: no prompt is shared between answers, as {why}"] if why else []

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield sampled answers to messages behind a prompt, batch by batch."""
        prefixed = [
            SampleRequest(r.key, tuple(self.prefix(teacher, r.messages, settings)))
            for r in requests
        ]
        for batch in self.sampled(prefixed, settings):
            ended = [ended_before(self.base.chat, s, settings.stop) for s in batch]
            yield [Answer(s.key, s.ids, self.base.chat.text(s.ids), s.finish) for s in ended]

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

    def sampled(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        *,
        prefixes: Prefixes | None = None,
    ) -> Iterator[list[Sample]]:
        """Yield what the model says behind the ids of each request, batch by batch."""
        chat = self.base.chat
        yield from sample(
            self.model,
            requests,
            settings,
            end_ids=chat.end_ids,
            pad_id=chat.pad_id,
            prefixes=prefixes,
            watch=self.watch,
        )


class AnsweringForAnother:
    """A model whose answers another one learns; which one it was is kept with them."""

    def __init__(self, model: LocalModel) -> None:
        self.name = model.name
        self._model = model

    @property
    def notes(self) -> list[str]:
        """Say who answered."""
        found = self._model.base.id
        said = f"{self.name} answered, not the parent: digest {found.digest[:16]}"
        return [said + (f", revision {found.revision}" if found.revision else "")]

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield what the model answers."""
        yield from self._model.answers(requests, teacher, settings)


def ended_before(chat: Chat, sample: Sample, stop: Sequence[str]) -> Sample:
    """Return a sample up to the last whole token before the first text that ends an answer."""
    text = chat.decoded(sample.ids) if stop else ""
    found = [at for at in (text.find(end) for end in stop) if at >= 0]
    if not found:
        return sample
    _, ends = chat.decoded_places(sample.ids)
    kept = sum(end <= min(found) for end in ends)
    return Sample(sample.key, sample.ids[:kept], STOP_TEXT)


def same_tokens(chat: Chat, base: Chat) -> bool:
    """Tell whether the ids of a model mean to the base what they mean to it."""
    ends = {chat.tokenizer.convert_ids_to_tokens(i) for i in chat.end_ids}
    own = {base.tokenizer.convert_ids_to_tokens(i) for i in base.end_ids}
    return chat.tokenizer.get_vocab() == base.tokenizer.get_vocab() and bool(ends & own)
