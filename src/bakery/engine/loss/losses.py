"""Divergences between teacher and student, in nats, at selected positions only.

Every divergence takes logits (N, V) and returns one value a position (N,), so that the caller
decides what an example weighs; it sums and divides once.
Shapes: N target positions · V vocabulary · K teacher's most likely tokens · B batch · L length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def forward_kl(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
    """KL(teacher ‖ student): cover everything the prompted model would say.

    The objective of context distillation (Askell et al. 2021; prompt baking, arXiv 2409.13697).
    """
    return _kl(_log_softmax(teacher_NV), _log_softmax(student_NV))


def reverse_kl(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
    """KL(student ‖ teacher): say nothing that the prompted model would not."""
    return forward_kl(teacher_NV, student_NV)


def jensen_shannon(
    student_NV: torch.Tensor, teacher_NV: torch.Tensor, *, beta: float = 0.5
) -> torch.Tensor:
    """β KL(p ‖ m) + (1-β) KL(q ‖ m) with m = β p + (1-β) q, p the teacher, q the student.

    The generalised divergence of on-policy distillation (GKD, arXiv 2306.13649).
    """
    log_p_NV, log_q_NV = _log_softmax(teacher_NV), _log_softmax(student_NV)
    log_m_NV = torch.logaddexp(log_p_NV + math.log(beta), log_q_NV + math.log1p(-beta))
    return beta * _kl(log_p_NV, log_m_NV) + (1 - beta) * _kl(log_q_NV, log_m_NV)


def top_k_kl(student_NV: torch.Tensor, teacher_NV: torch.Tensor, *, k: int = 20) -> torch.Tensor:
    """KL(teacher ‖ student) over the teacher's k most likely tokens and one bucket for the rest.

    A lower bound of `forward_kl` (merging outcomes loses divergence), equal to it at k = V.
    """
    return top_k_kl_given(student_NV, *top_k_of(teacher_NV, k))


def top_k_of(teacher_NV: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probabilities (N, K) of a teacher's k most likely tokens, and the tokens."""
    log_p_NK, tokens_NK = _log_softmax(teacher_NV).topk(min(k, teacher_NV.shape[-1]), dim=-1)
    return log_p_NK, tokens_NK


def top_k_kl_given(
    student_NV: torch.Tensor, log_p_NK: torch.Tensor, tokens_NK: torch.Tensor
) -> torch.Tensor:
    """Return `top_k_kl` from what `top_k_of` returned of the teacher."""
    log_q_NK = _log_softmax(student_NV).gather(-1, tokens_NK)
    if log_p_NK.shape[-1] == student_NV.shape[-1]:
        return _kl(log_p_NK, log_q_NK)
    return _kl(_with_tail(log_p_NK), _with_tail(log_q_NK))


def top1_agreement(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
    """Count the positions where both would say the same token greedily."""
    return (student_NV.argmax(dim=-1) == teacher_NV.argmax(dim=-1)).sum()


LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jensen_shannon,
    "topk": top_k_kl,
}


@dataclass(frozen=True, slots=True)
class Divergence:
    """A divergence by name, on logits divided by `temperature` (no T² factor).

    `beta` is for "jsd" alone, `k` for "topk". Called like the functions it names.
    """

    kind: str = "forward_kl"
    temperature: float = 1.0
    beta: float = 0.5
    k: int = 20

    def __post_init__(self) -> None:
        """Refuse a name that stands for nothing."""
        if self.kind not in LOSSES:
            raise KeyError(self.kind)

    def __call__(self, student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
        """Return one value a position (N,)."""
        special: dict[str, dict[str, Any]] = {"jsd": {"beta": self.beta}, "topk": {"k": self.k}}
        scaled = student_NV / self.temperature, teacher_NV / self.temperature
        return LOSSES[self.kind](*scaled, **special.get(self.kind, {}))


def make_loss(
    kind: str = "forward_kl", *, temperature: float = 1.0, beta: float = 0.5, k: int = 20
) -> Divergence:
    """Return a divergence by name."""
    return Divergence(kind, temperature, beta, k)


def compute_kl_divergence(
    teacher_logits: torch.Tensor,
    student_logits: torch.Tensor,
    mask: torch.Tensor,
    temperature: float = 1.0,
    per_sample: bool = False,
) -> torch.Tensor:
    """Return KL(teacher ‖ student) averaged over each example's masked positions.

    Logits are (B, L, V), the mask (B, L). Returns (B,) with `per_sample`, else their mean; an
    example without a masked position counts as zero.
    """
    kept = mask.bool()
    loss = make_loss(temperature=temperature)
    values_BL = teacher_logits.new_zeros(kept.shape, dtype=torch.float32)
    values_BL = values_BL.masked_scatter(kept, loss(student_logits[kept], teacher_logits[kept]))
    per_example_B = values_BL.sum(-1) / kept.sum(-1).clamp(min=1)
    return per_example_B if per_sample else per_example_B.mean()


def _log_softmax(logits_NV: torch.Tensor) -> torch.Tensor:
    return F.log_softmax(logits_NV.float(), dim=-1)


def _kl(log_p_NV: torch.Tensor, log_q_NV: torch.Tensor) -> torch.Tensor:
    return F.kl_div(log_q_NV, log_p_NV, log_target=True, reduction="none").sum(dim=-1)


def _with_tail(log_NK: torch.Tensor) -> torch.Tensor:
    """Append the logarithm of the probability that the K outcomes leave over."""
    rest_N1 = (1 - log_NK.exp().sum(dim=-1, keepdim=True)).clamp(min=1e-10)
    return torch.cat([log_NK, rest_N1.log()], dim=-1)
