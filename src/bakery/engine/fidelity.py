"""How close a student is to the recorded teacher: means over response tokens, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bakery.engine.losses import forward_kl, top1_agreement
from bakery.engine.readout import Readout
from bakery.engine.teacher import TeacherRecord, view_features
from bakery.engine.views import Pair


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Divergence from the teacher, and how often both would say the same token."""

    kl: float
    top1_agreement: float
    tokens: int


@torch.no_grad()
def fidelity(
    model: torch.nn.Module, readout: Readout, record: TeacherRecord, pairs: Sequence[Pair]
) -> Fidelity:
    """Score the student views of `pairs` by `model` as it stands against the teacher's record."""
    kl, agreed, tokens, at = 0.0, 0, 0, 0
    for views, features in view_features(model, readout, [p.student for p in pairs]):
        batch = pairs[at : at + len(views)]
        at += len(views)
        teacher = torch.cat([record.features(p.key) for p in batch]).to(features.device)
        student_NV, teacher_NV = readout.logits(features), readout.logits(teacher)
        kl += float(forward_kl(student_NV, teacher_NV))
        agreed += int(top1_agreement(student_NV, teacher_NV))
        tokens += len(features)
    return Fidelity(kl / tokens, agreed / tokens, tokens)
