"""One conversation with a local model, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Thread
from typing import Any

import torch
from transformers import TextIteratorStreamer

from bakery.backends.local import LocalModel
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt

MAX_TOKENS = 512


class ChatSession:
    """A loaded model that replies to conversations, greedily unless told otherwise."""

    def __init__(self, model: LocalModel, *, temperature: float = 0.0) -> None:
        self.name = model.name
        self._model, self._temperature = model, temperature

    def reply(self, messages: Sequence[Message]) -> Iterator[str]:
        """Yield the reply's text piece by piece."""
        chat, context = self._model.base.chat, self._model.base.context
        settings = SamplingSettings(1, min(MAX_TOKENS, context // 2), self._temperature)
        ids = self._model.prefix(Prompt(), messages, settings)
        streamer = TextIteratorStreamer(
            chat.tokenizer,
            skip_prompt=True,
            skip_special_tokens=True,
        )
        failed: list[BaseException] = []
        worker = Thread(target=self._generate, args=(ids, settings, streamer, failed), daemon=True)
        worker.start()
        yield from (piece for piece in streamer if piece)
        worker.join()
        if failed:
            raise failed[0]

    def _generate(
        self,
        ids: list[int],
        settings: SamplingSettings,
        streamer: TextIteratorStreamer,
        failed: list[BaseException],
    ) -> None:
        chat = self._model.base.chat
        inputs = torch.as_tensor([ids], device=self._model.base.device)
        sampled: dict[str, Any] = (
            {"do_sample": True, "temperature": settings.temperature}
            if settings.temperature
            else {"do_sample": False}
        )
        try:
            self._model.model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                streamer=streamer,
                max_new_tokens=settings.max_tokens,
                eos_token_id=sorted(chat.end_ids),
                pad_token_id=chat.pad_id,
                **sampled,
            )
        except BaseException as error:  # handed to the reader's thread, as it is
            failed.append(error)
            streamer.end()
