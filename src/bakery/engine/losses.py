"""Divergences between teacher and student, over the full vocabulary, in nats.

Every function takes logits of selected positions only and returns a sum; the caller
divides once. Shapes: N target positions · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def forward_kl(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
    """KL(teacher ‖ student): cover everything the prompted model would say.

    The objective of context distillation (Askell et al. 2021; prompt baking, arXiv 2409.13697).
    """
    log_q_NV = F.log_softmax(student_NV.float(), dim=-1)
    log_p_NV = F.log_softmax(teacher_NV.float(), dim=-1)
    return F.kl_div(log_q_NV, log_p_NV, log_target=True, reduction="sum")


def reverse_kl(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
    """KL(student ‖ teacher): say nothing that the prompted model would not."""
    return forward_kl(teacher_NV, student_NV)


def top1_agreement(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
    """Count the positions where both would say the same token greedily."""
    return (student_NV.argmax(dim=-1) == teacher_NV.argmax(dim=-1)).sum()


LOSSES: dict[str, Loss] = {"forward_kl": forward_kl, "reverse_kl": reverse_kl}
