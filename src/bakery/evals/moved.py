"""How far one model is from what another one says: nats per token of that one's own answers.

Both are states of one model in memory, or two adapters that it carries in turn. What the first one
heard itself say is kept as what its head read, so that only one of them has to be there at a time.
Shapes: N tokens of the answers · D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bakery.backends.local import LocalModel
from bakery.engine.loss.losses import Divergence
from bakery.engine.loss.readout import Readout
from bakery.engine.sampling.sampling import SampleRequest
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.teacher.scoring import in_order
from bakery.engine.text.views import View
from bakery.evals.sides import Conversation, Said
from bakery.identity import SamplingSettings
from bakery.records import Prompt

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model answered, and what its head read at every token of it (N, D), on the CPU."""

    said: tuple[Said, ...]
    views: tuple[View, ...]
    features: torch.Tensor
    readout: Readout


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a model is from one answer that another gave, in nats: the mean, and the most."""

    kl: float
    worst: float
    tokens: int


def read(
    local: LocalModel, rows: Sequence[tuple[Prompt, Conversation]], max_tokens: int
) -> list[Ids]:
    """Return the ids in front of each answer: a prompt, and the conversation behind it.

    Raises ConfigError where an answer might not fit the model's context.
    """
    settings = SamplingSettings(1, max_tokens, temperature=0.0)
    limit = "--max-tokens"
    return [tuple(local.prefix(prompt, said, settings, limit=limit)) for prompt, said in rows]


def answers(local: LocalModel, prefixes: Sequence[Ids], max_tokens: int) -> list[Said]:
    """Return what the model as it stands answers, greedily."""
    settings = SamplingSettings(1, max_tokens, temperature=0.0)
    chat = local.base.chat
    requests = [SampleRequest(str(at), ids) for at, ids in enumerate(prefixes)]
    found = Speaker(local.model, chat, local.watch).all(requests, settings)
    samples = [found[request.key] for request in requests]
    return [Said(chat.text(one.ids), one.ids, one.finish == "length") for one in samples]


def hear(
    local: LocalModel, prefixes: Sequence[Ids], max_tokens: int, *, whole: bool = False
) -> Heard:
    """Return what the model as it stands answers, and how it came to it.

    `whole`: its logits are kept, for another model whose head is not its own.
    """
    said = answers(local, prefixes, max_tokens)
    readout = _readout(local.model, whole)
    views = tuple(
        View((*ids, *answer.ids), ((len(ids), len(ids) + len(answer.ids)),))
        for ids, answer in zip(prefixes, said, strict=True)
    )
    return Heard(tuple(said), views, in_order(local.model, readout, views).cpu(), readout)


def moved(local: LocalModel, heard: Heard) -> list[Moved]:
    """Return how far the model as it stands is from each answer that was heard."""
    readout = _readout(local.model, not heard.readout.exact)
    features = in_order(local.model, readout, heard.views)
    apart_N, _ = readout.compare(features, heard.features.to(features.device), Divergence())
    counts = [len(view.predicting) for view in heard.views]
    parts = torch.split(apart_N.cpu().clamp(min=0.0), counts)
    return [Moved(float(p_n.mean()), float(p_n.max()), len(p_n)) for p_n in parts]


def heads_are_the_base_s(local: LocalModel) -> bool:
    """Tell whether an adapter leaves the head alone, so that what it reads says everything."""
    return Readout(local.model).exact


def _readout(model: Any, whole: bool) -> Readout:
    found = Readout(model)
    if whole:
        found.exact = False
    return found
