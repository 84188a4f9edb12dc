"""What a local model answers without a prompt and with it, and how far the prompt moves it.

Greedy, and all answers in one batch: for looking at, not for learning from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel

from bakery.backends.base import AnswerRequest
from bakery.backends.local import LocalModel
from bakery.engine.loss.losses import Divergence
from bakery.engine.loss.readout import Readout
from bakery.engine.sampling.sampling import Captured, Sample, SampleRequest
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.teacher.scoring import in_order
from bakery.engine.text.views import Pair, View, pair_up
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from bakery.variables import filled


@dataclass(frozen=True, slots=True)
class BothWays:
    """Answers in the order of the questions; `base` and `on_base` are those of the model without

    earlier bakes, unprompted and prompted. None: it carries none.
    """

    unprompted: list[str]
    prompted: list[str]
    base: list[str] | None
    on_base: list[str] | None
    moved: float
    """Mean KL(prompted ‖ unprompted) over the tokens of the prompted answers, in nats."""
    unsure: list[tuple[float, float]]
    """How unsure it was of each answer, unprompted and prompted: mean entropy of its tokens, in
    nats; 0 where it said nothing."""


def ask(
    local: LocalModel,
    requests: Sequence[AnswerRequest],
    teacher: Prompt,
    student: Prompt,
    settings: SamplingSettings,
) -> BothWays:
    """Answer every request under both prompts, with earlier bakes and without them."""
    views = [
        (f"{name}/{request.key}", tuple(_prefix(local, prompt, request, settings)))
        for name, prompt in (("without", student), ("with", teacher))
        for request in requests
    ]
    readout = Readout(local.model)
    seen = Captured(readout) if readout.exact else None
    found = _sampled(local, views, settings, seen)
    base = on_base = None
    if isinstance(local.model, PeftModel):
        with local.model.disable_adapter():
            bare = [_text(local, one) for one in _sampled(local, views, settings)]
        base, on_base = bare[: len(requests)], bare[len(requests) :]
    without, behind = found[: len(requests)], found[len(requests) :]
    pairs = [
        pair_up(
            local.base.chat,
            request.key,
            filled(teacher, request.values),
            filled(student, request.values),
            request.messages,
            one.ids,
        )
        for request, one in zip(requests, behind, strict=True)
        if one.ids
    ]
    texts = [[_text(local, one) for one in side] for side in (without, behind)]
    unsure = [
        (
            _unsure(local, readout, seen, views[at], found[at]),
            _unsure(local, readout, seen, views[at + len(requests)], found[at + len(requests)]),
        )
        for at in range(len(requests))
    ]
    moved = _moved(local, pairs, readout, seen)
    return BothWays(texts[0], texts[1], base, on_base, moved, unsure)


def _prefix(
    local: LocalModel, prompt: Prompt, request: AnswerRequest, settings: SamplingSettings
) -> list[int]:
    return local.prefix(filled(prompt, request.values), request.messages, settings)


@torch.no_grad()
def _unsure(
    local: LocalModel,
    readout: Readout,
    seen: Captured | None,
    asked: tuple[str, tuple[int, ...]],
    said: Sample,
) -> float:
    """Return the mean entropy of what could have been said at each token of an answer."""
    if not said.ids:
        return 0.0
    key, prefix = asked
    view = View((*prefix, *said.ids), ((len(prefix), len(prefix) + len(said.ids)),))
    features = seen.features(key, view.predicting) if seen else None
    if features is None:
        features = in_order(local.model, readout, [view])
    log_p_NV = readout.logits(features).float().log_softmax(-1)
    return float(-(log_p_NV.exp() * log_p_NV).sum(-1).mean())


def _moved(
    local: LocalModel, pairs: Sequence[Pair], readout: Readout, seen: Captured | None
) -> float:
    """Return how far the model behind the teacher's prompt is from itself behind the student's.

    `seen` is what its head read while it answered, as far as it could be kept.
    """
    if not pairs:
        return 0.0
    taught = [
        seen.features(f"with/{pair.key}", pair.teacher.predicting) if seen else None
        for pair in pairs
    ]
    known = [part for part in taught if part is not None]
    with torch.no_grad():
        if len(known) == len(pairs):
            teacher = torch.cat(known)
        else:
            teacher = in_order(local.model, readout, [pair.teacher for pair in pairs])
        student = in_order(local.model, readout, [pair.student for pair in pairs])
        apart_N, _ = readout.compare(student, teacher, Divergence())
    return max(0.0, float(apart_N.mean()))


def _sampled(
    local: LocalModel,
    asked: Sequence[tuple[str, tuple[int, ...]]],
    settings: SamplingSettings,
    seen: Captured | None = None,
) -> list[Sample]:
    requests = [SampleRequest(key, ids) for key, ids in asked]
    found = Speaker(local.model, local.base.chat, captured=seen).all(requests, settings)
    return [found[key] for key, _ in asked]


def _text(local: LocalModel, one: Sample) -> str:
    """Return an answer as a person reads it, with a mark where it was cut."""
    return local.base.chat.text(one.ids) + " …" * (one.finish == "length")
