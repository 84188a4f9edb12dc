"""How close a student is to the recorded teacher: means over target tokens, in nats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from bakery.card import Fidelity
from bakery.engine.loss.losses import Divergence, Loss
from bakery.engine.loss.readout import Readout
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.scoring import features_of
from bakery.engine.text.views import Pair


def fidelity(
    model: torch.nn.Module,
    readout: Readout,
    record: Features,
    pairs: Sequence[Pair],
    *,
    watch: Callable[[int], None] | None = None,
) -> list[Fidelity]:
    """Score the student view of each pair by `model` as it stands against the teacher's record.

    `watch` is told how many pairs are scored.
    """
    found = sums(model, readout, record, pairs, Divergence(), watch=watch)
    return [Fidelity(kl / n, agreed / n, n, worst) for kl, agreed, n, worst in found]


def totals(
    model: torch.nn.Module, readout: Readout, record: Features, pairs: Sequence[Pair], loss: Loss
) -> tuple[float, int, int]:
    """Return summed divergence, agreeing positions and target positions of all pairs."""
    found = sums(model, readout, record, pairs, loss)
    return sum(f[0] for f in found), sum(f[1] for f in found), sum(f[2] for f in found)


@torch.no_grad()
def sums(
    model: torch.nn.Module,
    readout: Readout,
    record: Features,
    pairs: Sequence[Pair],
    loss: Loss,
    *,
    watch: Callable[[int], None] | None = None,
) -> list[tuple[float, int, int, float]]:
    """Return each pair's summed divergence, agreeing and target positions, largest divergence."""
    found, done = [(0.0, 0, 0, 0.0)] * len(pairs), 0
    for at, features in features_of(model, readout, [p.student for p in pairs]):
        teacher = record.features_of_pairs([pairs[i] for i in at]).to(features.device)
        counts = [pairs[i].num_targets for i in at]
        compared = readout.compare(features, teacher, loss, record.form)
        each = (one.cpu().split(counts) for one in compared)
        for i, values_n, agreed_n in zip(at, *each, strict=True):
            if len(values_n):
                worst = float(values_n.max())
                found[i] = float(values_n.sum()), int(agreed_n.sum()), len(values_n), worst
        done += len(at)
        if watch is not None:
            watch(done)
    return found
