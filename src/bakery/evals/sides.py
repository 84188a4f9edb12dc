"""The four sides of a bake: the base, the parent with its prompt and without, and the bake.

They are one model in memory, whose adapters are turned on and off. Greedy where nobody says
otherwise, so that a second look sees the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import torch
from peft import PeftModel

from bakery.backends.local import LocalModel
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters
from bakery.engine.models.strength import AS_BASE, AS_PARENT, Dial, Strength
from bakery.engine.sampling.sampling import Captured, SampleRequest
from bakery.engine.sampling.speaker import Speaker
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt

Side = Literal["base", "prompted", "parent", "baked"]
SIDES: tuple[Side, ...] = ("base", "prompted", "parent", "baked")
Conversation = Sequence[Message]
Switch = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Said:
    """One answer. `is_cut`: it would have gone on beyond the most tokens.

    `features`: what the head read before each of its tokens (N, D), where that was kept.
    """

    text: str
    ids: tuple[int, ...]
    is_cut: bool
    features: torch.Tensor | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Sides:
    """Who answers: `base` without any bake, `prompted` the parent behind the teacher's prompt.

    `parent` and `baked` answer behind the student's prompt, as every request will be sent;
    `base` behind it, too.
    """

    local: LocalModel
    teacher: Prompt
    student: Prompt
    as_base: Switch = field(default=nullcontext)
    as_parent: Switch = field(default=nullcontext)

    @contextmanager
    def turned(self, side: Side) -> Iterator[Prompt]:
        """Make the weights those of a side; yield the prompt that it answers behind."""
        switch = {"base": self.as_base, "baked": nullcontext}.get(side, self.as_parent)
        with switch():
            yield self.teacher if side == "prompted" else self.student

    def say(
        self,
        side: Side,
        conversations: Sequence[Conversation],
        max_tokens: int,
        *,
        limit: str = "max_tokens",
        behind: Sequence[Prompt] | None = None,
        temperature: float = 0.0,
        readout: Readout | None = None,
    ) -> list[Said]:
        """Return what a side answers to each conversation, in one batch after another.

        `behind`: these prompts, not its own. Sampled answers come from the number of the
        conversation alone. With a `readout` their features are kept, where they fit in memory.
        Raises ConfigError where a conversation does not fit the model's context; `limit` is the
        setting that says how long an answer may be.
        """
        settings = SamplingSettings(1, max_tokens, temperature)
        with self.turned(side) as own:
            prompts = behind or [own] * len(conversations)
            asked = [
                SampleRequest(
                    str(at), tuple(self.local.prefix(prompt, messages, settings, limit=limit))
                )
                for at, (prompt, messages) in enumerate(zip(prompts, conversations, strict=True))
            ]
            chat = self.local.base.chat
            fits = readout is not None and Captured.fits(readout, len(asked), settings)
            kept = Captured(readout) if readout and fits else None
            speaker = Speaker(self.local.model, chat, self.local.watch, captured=kept)
            found = speaker.all(asked, settings)
        answers = [(found[request.key], len(request.prefix_ids) - 1) for request in asked]
        return [
            Said(
                chat.text(one.ids),
                one.ids,
                one.finish == "length",
                kept.features(one.key, range(at, at + len(one.ids))) if kept else None,
            )
            for one, at in answers
        ]


def while_training(local: LocalModel, teacher: Prompt, student: Prompt) -> Sides:
    """Return the sides of a model that carries the adapter that is being trained."""
    model = local.model
    if not isinstance(model, PeftModel):
        raise TypeError("a model without an adapter has no sides")
    return Sides(
        local, teacher, student, model.disable_adapter, lambda: adapters.parent_only(model)
    )


def of_bake(local: LocalModel, dial: Dial | None, teacher: Prompt, student: Prompt) -> Sides:
    """Return the sides of a bake that was loaded; `dial` None: it is the base, and so are all."""
    if dial is None:
        return Sides(local, teacher, student)
    return Sides(local, teacher, student, _turned(dial, AS_BASE), _turned(dial, AS_PARENT))


def _turned(dial: Dial, strength: Strength) -> Switch:
    @contextmanager
    def switch() -> Iterator[None]:
        before = dial.now
        dial.turn(strength)
        try:
            yield
        finally:
            dial.turn(before)

    return switch
