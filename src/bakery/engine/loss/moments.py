"""Forward KL through a frozen head, without the teacher's logits.

log Z(h) = log Σ exp(logits of h) is convex, its gradient at h is the mean row of the head under
the softmax, and the divergence is what a tangent of it misses (its Bregman divergence):

    KL(p ‖ q) = log Z(h_q) - log Z(h_p) - mean_p · (h_q - h_p),   gradient at h_q: mean_q - mean_p

So of a teacher three things are kept, its *moments*: mean_p, the number mean_p · h_p - log Z(h_p),
and its first choice. A student's step then has two products with the head instead of three, both
while a block of logits is in a processor's cache: sums are scaled down whenever a larger logit
turns up (one pass, as in FlashAttention, arXiv 2205.14135).
Shapes: N positions · D hidden · V vocabulary · R positions of a chunk · B vocabulary of a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from bakery.engine.loss.head import Blocks, Head
from bakery.engine.loss.losses import Divergence, Loss

EXTRA = 2
"""Numbers that moments (N, D + 2) have besides the mean."""
CPU_ROWS, GPU_ROWS = 256, 4096
"""Most positions in a chunk."""
GPU_BYTES = 256 * 2**20
"""What the logits of a chunk may take where a block is the whole vocabulary."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """What is known of the softmax of N positions: log Z (N,), its gradient (N, D), the largest."""

    log_z: torch.Tensor
    mean: torch.Tensor | None
    choice: torch.Tensor | None


def apply(head: Head, loss: Loss) -> bool:
    """Tell whether a teacher's moments are all that a loss needs.

    Not in half precision: the difference of two means drowns in what rounding a softmax loses.
    """
    plain = loss == Divergence() and head.softcap is None
    return plain and head.weight.dtype is torch.float32


@torch.no_grad()
def of_teacher(teacher_ND: torch.Tensor, head: Head) -> torch.Tensor:
    """Return the moments (N, D + 2) of a teacher's hidden states, in fp32."""
    found = softmax_of(teacher_ND, head, mean=True, choice=True)
    assert found.mean is not None  # asked for
    assert found.choice is not None
    offset_N = _along(found.mean, teacher_ND) - found.log_z.double()
    # A float holds whole numbers up to 2^24, which is more than any vocabulary.
    last = [offset_N.float()[:, None], found.choice.float()[:, None]]
    return torch.cat([found.mean, *last], dim=-1)


@torch.no_grad()
def of_logits(teacher_NV: torch.Tensor, head: Head) -> torch.Tensor:
    """Return the moments (N, D + 2), in this head, of a teacher that has another.

    KL(p ‖ q) = log Z(h_q) - mean_p · h_q + Σ p log p - Σ p bias, for any p over the head's rows.
    """
    log_p_NV = teacher_NV.float().log_softmax(-1)
    p_NV = log_p_NV.exp()
    mean_ND = (p_NV @ head.weight.float()) * head.scale
    offset_N = (p_NV.double() * log_p_NV.double()).sum(-1)
    if head.bias is not None:
        offset_N -= head.scale * (p_NV @ head.bias.float()).double()
    last = [offset_N.float()[:, None], teacher_NV.argmax(-1).float()[:, None]]
    return torch.cat([mean_ND, *last], dim=-1)


@torch.no_grad()
def evaluated(
    student_ND: torch.Tensor,
    moments: torch.Tensor,
    head: Head,
    *,
    gradient: bool = False,
    choices: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return each position's divergence (N,) from a teacher's moments (N, D + 2);

    where asked for, its gradient at the student (N, D), and where first choices agree (N,).
    """
    moments = moments.to(student_ND.device)
    mean_ND, offset_N, choice_N = moments[:, :-EXTRA], moments[:, -2], moments[:, -1]
    found = softmax_of(student_ND, head, mean=gradient, choice=choices)
    tangent_N = _along(mean_ND, student_ND) - offset_N.double()
    values_N = (found.log_z.double() - tangent_N).float()
    grad_ND = found.mean.sub_(mean_ND) if found.mean is not None else None
    agreed_N = found.choice == choice_N.long() if found.choice is not None else None
    return values_N, grad_ND, agreed_N


def softmax_of(hidden_ND: torch.Tensor, head: Head, *, mean: bool, choice: bool) -> Softmax:
    """Go through the vocabulary once, a block at a time, for a chunk of positions at a time."""
    n, device = len(hidden_ND), head.weight.device
    log_z_N = torch.zeros(n, device=device)
    mean_ND = torch.zeros(hidden_ND.shape, device=device) if mean else None
    choice_N = torch.zeros(n, dtype=torch.long, device=device) if choice else None
    if n == 0:
        return Softmax(log_z_N, mean_ND, choice_N)
    rows = _rows(head, n)
    # Autocast would round the head, and the two means would cancel no more.
    with torch.autocast(device.type, enabled=False):
        blocks = Blocks(head, rows, temperature=1.0, kept=0, sides=1)
        for start in range(0, n, rows):
            at = slice(start, start + rows)
            _pass(
                blocks,
                hidden_ND[at],
                log_z_N[at],
                mean_ND[at] if mean_ND is not None else None,
                choice_N[at] if choice_N is not None else None,
            )
    if mean_ND is not None:
        mean_ND *= head.scale
    return Softmax(log_z_N, mean_ND, choice_N)


def _pass(
    blocks: Blocks,
    hidden_RD: torch.Tensor,
    log_z_R: torch.Tensor,
    mean_RD: torch.Tensor | None,
    choice_R: torch.Tensor | None,
) -> None:
    """Fill in what is asked for of one chunk."""
    prepared_RD = blocks.prepared(hidden_RD)
    top_R = torch.full_like(log_z_R, torch.finfo(torch.float32).min)
    sum_R = torch.zeros_like(log_z_R)
    for i, (first, _) in enumerate(blocks.spans):
        z_RB = blocks.logits(i, prepared_RD)
        if choice_R is None:
            own_R = z_RB.amax(-1)
        else:
            own_R, token_R = z_RB.max(-1)
            choice_R.copy_(torch.where(own_R > top_R, token_R + first, choice_R))
        own_R = torch.maximum(own_R, top_R)
        older_R = (top_R - own_R).exp_()
        top_R = own_R
        e_RB = z_RB.sub_(top_R[:, None]).exp_()
        sum_R.mul_(older_R).add_(e_RB.sum(-1))
        if mean_RD is not None:
            mean_RD.mul_(older_R[:, None])
            blocks.add_gradient(mean_RD, i, e_RB)
    log_z_R.copy_(top_R + sum_R.log())
    if mean_RD is not None:
        mean_RD.div_(sum_R[:, None])


def _rows(head: Head, n: int) -> int:
    """Return how many of `n` positions make a chunk: even chunks, at least one position each."""
    most = CPU_ROWS
    if head.weight.device.type != "cpu":
        most = min(GPU_ROWS, max(GPU_BYTES // (len(head.weight) * 4), 1))
    return math.ceil(n / math.ceil(n / most))


def _along(mean_ND: torch.Tensor, hidden_ND: torch.Tensor) -> torch.Tensor:
    """Return mean · h of every position (N,), in fp64: large numbers that nearly cancel later."""
    return torch.linalg.vecdot(mean_ND.double(), hidden_ND.double())
