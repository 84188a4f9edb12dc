"""How close a student is to the recorded teacher: means over target tokens, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bakery.engine.examples import Features
from bakery.engine.losses import Divergence, Loss
from bakery.engine.readout import Readout
from bakery.engine.scoring import features_of
from bakery.engine.views import Pair

LITTLE_TO_BAKE = 0.01
"""Nats per token under which a prompt hardly changes what the parent says."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Divergence from the teacher, and how often both would say the same token."""

    kl: float
    top1_agreement: float
    tokens: int


def fidelity(
    model: torch.nn.Module, readout: Readout, record: Features, pairs: Sequence[Pair]
) -> Fidelity:
    """Score the student views of `pairs` by `model` as it stands against the teacher's record."""
    kl, agreed, tokens = totals(model, readout, record, pairs, Divergence())
    return Fidelity(kl / tokens, agreed / tokens, tokens)


def together(parts: Sequence[Fidelity]) -> Fidelity | None:
    """Return the fidelity over the tokens of all parts; None where there are none."""
    tokens = sum(part.tokens for part in parts)
    if len(parts) < 2:
        return parts[0] if parts else None
    kl = sum(part.kl * part.tokens for part in parts) / tokens
    agreed = sum(part.top1_agreement * part.tokens for part in parts) / tokens
    return Fidelity(kl, agreed, tokens)


@torch.no_grad()
def totals(
    model: torch.nn.Module,
    readout: Readout,
    record: Features,
    pairs: Sequence[Pair],
    loss: Loss,
) -> tuple[float, int, int]:
    """Return summed divergence, agreeing positions and target positions of `pairs`."""
    total, agreed, tokens = 0.0, 0, 0
    for at, features in features_of(model, readout, [p.student for p in pairs]):
        teacher = record.features_of_pairs([pairs[i] for i in at]).to(features.device)
        values_N, agreed_N = readout.compare(features, teacher, loss)
        total += float(values_N.sum())
        agreed += int(agreed_N.sum())
        tokens += len(features)
    return total, agreed, tokens
