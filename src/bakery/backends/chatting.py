"""One streamed conversation with a model of this process."""

from __future__ import annotations

import secrets
from collections.abc import Generator, Sequence
from threading import Event, Thread
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from bakery.backends.local import LocalModel
from bakery.conversation import ChatSettings, Ending
from bakery.engine.models.strength import AS_BAKED, Dial, Strength
from bakery.errors import ConfigError
from bakery.identity import short_id
from bakery.records import Message, Prompt

USUAL_TOKENS = 512
"""How long an answer may become where nothing is said."""

LEAST_ROOM = 16
"""Tokens that have to be left for an answer."""

SWITCH = "enable_thinking"
"""What templates of models that think call the switch."""


class LocalSpeaker:
    """A loaded model, bare or with its bakes at some strength. Several may share one model."""

    def __init__(
        self,
        name: str,
        model: LocalModel,
        *,
        dial: Dial | None = None,
        at: Strength = AS_BAKED,
        whole_chain: bool = False,
        scalable: bool = True,
    ) -> None:
        """`whole_chain`: a strength that is set is that of the older bakes, too."""
        self.name = name
        self._model, self._dial, self._at = model, dial, at
        self._whole_chain, self._scalable = whole_chain, scalable and dial is not None
        self._asked: dict[str, int] = {}

    @property
    def strength(self) -> float | None:
        """How much of the last bake is there; None: there is none that could be scaled."""
        return self._at.own if self._scalable else None

    def scale(self, strength: float) -> None:
        """Have more or less of the bake in the answers."""
        self._at = Strength(strength, strength if self._whole_chain else 1.0)

    def size(self, prompt: Prompt, messages: Sequence[Message]) -> tuple[int, int]:
        """Return how many tokens that takes, and how many the model was made for."""
        base = self._model.base
        said = [*prompt.messages, *messages]
        return len(base.chat.prefix_ids(prompt, messages)) if said else 0, base.context

    def reply(
        self, prompt: Prompt, messages: Sequence[Message], settings: ChatSettings
    ) -> Generator[str, None, Ending]:
        """Yield the reply's text piece by piece, and return how it ended.

        Closing it early stops the model, too.
        """
        ids = self._model.base.chat.prefix_ids(prompt, messages)
        room = self._room(len(ids), settings.max_tokens)
        if self._dial is not None:
            self._dial.turn(self._at)
        worker = _Worker(self._model, ids, settings, room, self._seed(ids, settings))
        worker.start()
        try:
            for piece in worker.streamer:
                if piece:
                    yield piece
        finally:
            worker.stop.set()
            worker.join()
        if worker.failed is not None:
            raise worker.failed
        ended = bool(worker.made) and worker.made[-1] in self._model.base.chat.end_ids
        return Ending("stop" if ended else "length", len(worker.made))

    def _room(self, used: int, wanted: int | None) -> int:
        """Return how many tokens the answer may take, or refuse what does not fit."""
        context = self._model.base.context
        left = context - used
        if left < (LEAST_ROOM if wanted is None else wanted):
            answer = f"{wanted}" if wanted is not None else f"at least {LEAST_ROOM}"
            raise ConfigError(
                f"the conversation takes {used} tokens and the answer {answer}, "
                f"but {self._model.base.id.name} has a context of {context}",
                hint="`/clear` forgets what was said so far, `/undo` the last question; "
                "or ask for less with --max-tokens.",
            )
        return min(left, USUAL_TOKENS if wanted is None else wanted)

    def _seed(self, ids: list[int], settings: ChatSettings) -> int:
        """Return what seeds an answer: the same question again is another draw."""
        if settings.seed is None:
            return secrets.randbits(63)
        asked = short_id([settings.seed, ids])
        self._asked[asked] = self._asked.get(asked, 0) + 1
        return int(short_id([asked, self._asked[asked]]), 16) >> 1


def set_thinking(model: LocalModel, on: bool) -> None:
    """Have the template open or shut the model's thinking; ConfigError where it has no switch."""
    chat = model.base.chat
    if SWITCH not in str(chat.tokenizer.chat_template):
        raise ConfigError(
            f"the chat template of {model.base.id.name} has no switch for thinking",
            hint="Chat without --thinking and --no-thinking.",
        )
    chat.template_kwargs[SWITCH] = on


class _Worker(Thread):
    """Generates in a thread of its own, so that the text can be read as it grows."""

    def __init__(
        self, model: LocalModel, ids: list[int], settings: ChatSettings, room: int, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.streamer = TextIteratorStreamer(
            model.base.chat.tokenizer, skip_prompt=True, skip_special_tokens=True
        )
        self.stop = Event()
        self.made: list[int] = []
        self.failed: BaseException | None = None
        self._model, self._ids = model, ids
        self._settings, self._room, self._seed = settings, room, seed

    def run(self) -> None:
        """Generate; what goes wrong is handed to the reader's thread, as it is."""
        try:
            self._generate()
        except BaseException as error:
            self.failed = error
            self.streamer.end()

    def _generate(self) -> None:
        chat, settings = self._model.base.chat, self._settings
        inputs = torch.as_tensor([self._ids], device=self._model.base.device)
        drawn: dict[str, Any] = {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
        if settings.temperature:
            torch.manual_seed(self._seed)
            drawn = {
                "do_sample": True,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "top_k": 0,
            }
        out = self._model.model.generate(
            input_ids=inputs,
            attention_mask=torch.ones_like(inputs),
            streamer=self.streamer,
            max_new_tokens=self._room,
            eos_token_id=sorted(chat.end_ids),
            pad_token_id=chat.pad_id,
            repetition_penalty=1.0,
            stopping_criteria=StoppingCriteriaList([_Stopped(self.stop)]),
            **drawn,
        )
        self.made = out[0, len(self._ids) :].tolist()


class _Stopped(StoppingCriteria):
    """Ends the answer where somebody asked for it."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Say for every row whether it is done."""
        return torch.full((len(input_ids),), self._stop.is_set(), device=input_ids.device)
