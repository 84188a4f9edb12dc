"""A local model that speaks as the user: user turns are sampled, and the model says how likely.

Needs no instruction that a small model would not follow: any chat model has seen users speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from bakery.backends.base import Reply, Turn
from bakery.backends.local import LocalModel
from bakery.engine.loss.readout import Readout
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.sampling.sampling import Sample, SampleRequest
from bakery.engine.teacher.scoring import features_of
from bakery.engine.text.views import View
from bakery.errors import ConfigError
from bakery.identity import SamplingSettings
from bakery.records import Prompt


@dataclass(frozen=True, slots=True)
class Speech:
    """How a model speaks as a user, where nobody says otherwise."""

    temperature: float
    min_p: float
    """Tokens below this share of the likeliest one are never drawn: a small model's are noise."""
    max_tokens: int
    follows: bool
    """Whether it has seen users behind a prompt."""
    is_trusted: bool


SPEECH = Speech(temperature=0.7, min_p=0.05, max_tokens=64, follows=True, is_trusted=False)
"""Measured on SmolLM2-135M by hand-labelled turns: of 100, 89 were usable at 0.7 with this `min_p`,
75 without it, 31 at 1.0 without it, and 84 at 1.0 with 0.1."""

EMBEDDED_SPEECH = Speech(temperature=1.0, min_p=0.0, max_tokens=48, follows=False, is_trusted=True)
"""The embedded model was trained to ask, at the start of a conversation."""


class Voice:
    """One model as a user; what its turns begin with is run once."""

    def __init__(self, model: LocalModel, speech: Speech) -> None:
        self.name, self._model, self._speech = model.name, model, speech
        self.temperature, self.is_trusted = speech.temperature, speech.is_trusted
        self._prefixes = Prefixes()
        self._readout: Readout | None = None

    def follows(self, prompt: Prompt) -> bool:
        """Tell whether the template takes a user's turn behind a prompt."""
        if not self._speech.follows or not prompt.messages:
            return False
        try:
            self._model.base.chat.user_turn_ids(prompt)
        except ConfigError:
            return False
        return True

    def speak(
        self, turns: Sequence[Turn], *, temperature: float, max_tokens: int | None
    ) -> list[Reply]:
        """Sample user turns, each seeded by its key alone."""
        longest = max_tokens or self._speech.max_tokens
        settings = SamplingSettings(1, longest, temperature, min_p=self._speech.min_p)
        requests = [SampleRequest(turn.key, self._before(turn.behind, longest)) for turn in turns]
        speaker = replace(self._model.speaker, prefixes=self._prefixes)
        sampled = speaker.all(requests, settings)
        ended = [r for r in requests if sampled[r.key].finish == "stop"]
        likely = {} if self.is_trusted else self._likely(ended, sampled)
        return [self._reply(sampled[r.key], likely.get(r.key)) for r in requests]

    def _before(self, prompt: Prompt, max_tokens: int) -> tuple[int, ...]:
        base = self._model.base
        ids = base.chat.user_turn_ids(prompt if self._speech.follows else None)
        if len(ids) + max_tokens > base.context:
            raise ConfigError(
                f"the prompt takes {len(ids)} tokens and a question up to {max_tokens}, "
                f"but {base.id.name} has a context of {base.context}",
                hint="Shorten the prompt or lower the generator's max_tokens.",
            )
        return tuple(ids)

    def _reply(self, sampled: Sample, likely: float | None) -> Reply:
        chat, is_finished = self._model.base.chat, sampled.finish == "stop"
        ids = sampled.ids[:-1] if is_finished else sampled.ids
        # What else marks a turn stays in the text, so that it is seen that the turn did not end.
        return Reply(chat.decoded(ids).strip(), is_finished, likely)

    @torch.no_grad()
    def _likely(
        self, requests: Sequence[SampleRequest], sampled: dict[str, Sample]
    ) -> dict[str, float]:
        """Return the log probability of a token on average, by key, at temperature 1."""
        if self._readout is None:
            self._readout = Readout(self._model.model)
        readout = self._readout
        views = []
        for request in requests:
            start, said = len(request.prefix_ids), sampled[request.key].ids
            views.append(View((*request.prefix_ids, *said), ((start, start + len(said)),)))
        found: dict[str, float] = {}
        scored = features_of(self._model.model, readout, views, prefixes=self._prefixes)
        for at, features_ND in scored:
            row = 0
            for i in at:
                ids = views[i].target_ids
                logprobs_NV = readout.logits(features_ND[row : row + len(ids)]).float()
                logprobs_NV = logprobs_NV.log_softmax(dim=-1)
                ids_N = torch.as_tensor(ids, device=logprobs_NV.device)
                found[requests[i].key] = float(logprobs_NV.gather(1, ids_N[:, None]).mean())
                row += len(ids)
        return found
