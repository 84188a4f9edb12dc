"""How far a bake is from its prompted parent along given answers, and what either might say first.

Shapes: N tokens of an answer · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import nn

from bakery.engine.loss.readout import Readout
from bakery.engine.modes import evaluating
from bakery.engine.teacher.elsewhere import Elsewhere
from bakery.engine.teacher.scoring import features_of
from bakery.engine.teacher.teacher import teaching
from bakery.engine.text.views import Pair, View
from bakery.evals.sides import Said

TOP = 20
"""Log probabilities that a probe keeps."""

SURE = 0.9
"""From which probability of a token on a model does not hesitate to say it."""

Likeliest = list[list[Any]]
"""`[id, log probability]`, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Distance:
    """Along one answer: the largest divergence at a token in nats, and where the parent hesitated.

    `hesitant` is the share of tokens of which the prompted parent was not `SURE`.
    """

    nats: float
    hesitant: float
    prompted: Likeliest
    baked: Likeliest


@dataclass(frozen=True, slots=True)
class Begun:
    """How sure a model was of an answer of its own, and what it might have begun with.

    `hesitant` is the share of tokens of which it was not `SURE`, `each` the log probability of
    every one.
    """

    hesitant: float
    first: Likeliest
    each: list[float]


def distances(
    student: PeftModel,
    readout: Readout,
    pairs: Sequence[Pair],
    prompted: Sequence[Said],
    baked: Sequence[Said],
    *,
    teacher: Elsewhere | None = None,
) -> list[Distance]:
    """Return how far the student is from its parent, which reads the teacher's side.

    `teacher` reads it, where that is another model. The pairs are of what it answered, `prompted`.
    What was read while an answer was given is not run again; along an answer that both gave that
    is so for both.
    """
    heard = [one.features for one in prompted]
    own_heard = [
        own.features if own.ids == one.ids else None
        for one, own in zip(prompted, baked, strict=True)
    ]
    taught_by: tuple[nn.Module, Readout] = (student, readout)
    if teacher is not None:
        taught_by = teacher.model, teacher.readout
    with teaching(taught_by[0]):
        parent = _features(*taught_by, [pair.teacher for pair in pairs], heard)
    with evaluating(student):
        own = _features(student, readout, [pair.student for pair in pairs], own_heard)
    # One pair after the other: a large vocabulary for all of them would not fit.
    of_parent = taught_by[1]
    return [
        _distance(of_parent, readout, pair, said, own_said)
        for pair, said, own_said in zip(pairs, parent, own, strict=True)
    ]


def along(
    model: nn.Module, readout: Readout, views: Sequence[View], said: Sequence[Said]
) -> list[Begun]:
    """Return how sure a model as it stands is of its own answers, and of their beginnings."""
    with evaluating(model):
        found = _features(model, readout, views, [one.features for one in said])
    return [_begun(readout, *one) for one in zip(views, found, strict=True)]


@torch.no_grad()
def moved(model: nn.Module, pairs: Sequence[Pair]) -> list[float]:
    """Return how far the teacher's side moves the base along each answer, in nats per token."""
    readout = Readout(model)
    off = model.disable_adapter() if isinstance(model, PeftModel) else nullcontext()
    with off, evaluating(model):
        behind = _features(model, readout, [pair.teacher for pair in pairs])
        without = _features(model, readout, [pair.student for pair in pairs])
    found = []
    for one, other in zip(behind, without, strict=True):
        behind_NV, without_NV = (_log_probabilities(readout, side) for side in (one, other))
        found.append(float((behind_NV.exp() * (behind_NV - without_NV)).sum(-1).mean()))
    return found


@torch.no_grad()
def _begun(readout: Readout, view: View, features: torch.Tensor) -> Begun:
    found_NV = _log_probabilities(readout, features)
    each = [round(value, 6) for value in _said(view, found_NV).tolist()]
    return Begun(_hesitant(view, found_NV), _likeliest(found_NV[0]), each)


@torch.no_grad()
def _distance(
    of_parent: Readout, readout: Readout, pair: Pair, parent: torch.Tensor, own: torch.Tensor
) -> Distance:
    parent_NV, own_NV = _log_probabilities(of_parent, parent), _log_probabilities(readout, own)
    kl_N = (parent_NV.exp() * (parent_NV - own_NV)).sum(-1)
    hesitant = _hesitant(pair.teacher, parent_NV)
    return Distance(float(kl_N.max()), hesitant, _likeliest(parent_NV[0]), _likeliest(own_NV[0]))


def _hesitant(view: View, found_NV: torch.Tensor) -> float:
    """Return the share of the tokens that were said of which a model was not sure.

    A share, and not a mean of log probabilities: a free choice among things to say is a few words
    of an answer, and somebody who is lost hesitates at every other one.
    """
    return float((_said(view, found_NV).exp() < SURE).float().mean())


def _said(view: View, found_NV: torch.Tensor) -> torch.Tensor:
    """Return the log probability of each token that was said (N,)."""
    said_N = torch.tensor(view.target_ids, device=found_NV.device)
    return found_NV.gather(1, said_N[:, None])[:, 0]


def _likeliest(found_V: torch.Tensor) -> Likeliest:
    top = found_V.topk(min(TOP, len(found_V)))
    values = (round(float(value), 6) for value in top.values)
    return [list(one) for one in zip(top.indices.tolist(), values, strict=True)]


@torch.no_grad()
def _log_probabilities(readout: Readout, features: torch.Tensor) -> torch.Tensor:
    """Return log probabilities (N, V) in fp32."""
    return readout.logits(features).float().log_softmax(-1)


def _features(
    model: nn.Module,
    readout: Readout,
    views: Sequence[View],
    known: Sequence[torch.Tensor | None] = (),
) -> list[torch.Tensor]:
    """Return what the head reads at the targets of each view, of which some may be known."""
    found = {at: features for at, features in enumerate(known) if features is not None}
    left = [at for at in range(len(views)) if at not in found]
    for numbers, features in features_of(model, readout, [views[at] for at in left]):
        at = [left[number] for number in numbers]
        counts = [len(views[i].predicting) for i in at]
        found |= zip(at, torch.split(features, counts), strict=True)
    return [found[i] for i in range(len(views))]
