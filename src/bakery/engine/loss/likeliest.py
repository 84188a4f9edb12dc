"""The teacher's most likely tokens in place of all it says: a small record.

The loss `topk` reads of a teacher no more than the log-probabilities of K tokens; what they leave
over is one number, the tail. So 2 K numbers a position are enough, and exact for that loss.
Shapes: N target positions · K tokens · D hidden · V vocabulary · R positions of a chunk.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from bakery.engine.loss.head import Blocks, Head
from bakery.engine.loss.losses import Divergence, Loss, top_k_kl_given, top_k_of

CHUNK_BYTES = 64 * 2**20
"""What the logits of one chunk may take."""
COPIES = 4
"""How many times a chunk's logits are held."""


def width(loss: Loss, whole: int) -> int | None:
    """Return how many numbers a position takes where `whole` would be kept; None: no fewer."""
    if isinstance(loss, Divergence) and loss.kind == "topk" and 2 * loss.k < whole:
        return 2 * loss.k
    return None


@torch.no_grad()
def of_logits(logits_NV: torch.Tensor, loss: Divergence) -> torch.Tensor:
    """Return log-probabilities and tokens (N, 2 K) of a teacher, in fp32."""
    parts = [
        _kept(part / loss.temperature, loss.k)
        for part in logits_NV.split(_rows(logits_NV.shape[-1]))
    ]
    return torch.cat(parts)


@torch.no_grad()
def of_hidden(hidden_ND: torch.Tensor, head: Head, loss: Divergence) -> torch.Tensor:
    """Return the same (N, 2 K) of hidden states that `head` turns into logits.

    By the products that `evaluated` takes, so that equal states have no divergence.
    """
    rows = min(_rows(len(head.weight)), max(len(hidden_ND), 1))
    with torch.autocast(head.weight.device.type, enabled=False):
        blocks = Blocks(head, rows, temperature=loss.temperature, kept=0, sides=1)
        return torch.cat([_kept(_logits(blocks, part), loss.k) for part in hidden_ND.split(rows)])


def _kept(logits_RV: torch.Tensor, k: int) -> torch.Tensor:
    log_p_RK, tokens_RK = top_k_of(logits_RV, k)
    # A float holds whole numbers up to 2^24, which is more than any vocabulary.
    return torch.cat([log_p_RK, tokens_RK.float()], dim=-1)


def _rows(vocabulary: int) -> int:
    """Return how many positions make a chunk."""
    return max(CHUNK_BYTES // (COPIES * vocabulary * 4), 1)


def divergence(student_NV: torch.Tensor, kept: torch.Tensor, loss: Divergence) -> torch.Tensor:
    """Return each position's divergence (N,) of the student's logits."""
    log_p_NK, tokens_NK = kept[:, : loss.k], kept[:, loss.k :].long()
    return top_k_kl_given(student_NV / loss.temperature, log_p_NK, tokens_NK)


def first_choice(kept: torch.Tensor, loss: Divergence) -> torch.Tensor:
    """Return the teacher's first choices (N,)."""
    return kept[:, loss.k].long()


@torch.no_grad()
def evaluated(
    student_ND: torch.Tensor,
    kept: torch.Tensor,
    head: Head,
    loss: Divergence,
    *,
    gradient: bool = False,
    choices: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return each position's divergence (N,) from what is kept of a teacher;

    where asked for, its gradient at the student (N, D), and where first choices agree (N,).
    """
    n, device = len(student_ND), head.weight.device
    kept = kept.to(device)
    values_N = torch.zeros(n, device=device)
    grad_ND = torch.zeros(student_ND.shape, device=device) if gradient else None
    agreed_N = torch.zeros(n, dtype=torch.bool, device=device) if choices else None
    if n == 0:
        return values_N, grad_ND, agreed_N
    rows = min(_rows(len(head.weight)), n)
    # The slope of a softcap is taken from what is kept of the chunk; nothing else is.
    kept_slots = 2 if head.softcap is not None else 0
    with torch.autocast(device.type, enabled=False):
        blocks = Blocks(head, rows, temperature=loss.temperature, kept=kept_slots, sides=1)
        for start in range(0, n, rows):
            at = slice(start, start + rows)
            z_RV = _logits(blocks, student_ND[at])
            if agreed_N is not None:
                agreed_N[at] = z_RV.argmax(-1) == first_choice(kept[at], loss)
            grad_RD = grad_ND[at] if grad_ND is not None else None
            values_N[at] = _chunk(blocks, z_RV, kept[at], loss, grad_RD)
    if grad_ND is not None:
        grad_ND *= head.scale / loss.temperature
    return values_N, grad_ND, agreed_N


def _logits(blocks: Blocks, hidden_RD: torch.Tensor) -> torch.Tensor:
    """Return a chunk's logits (R, V), divided by the temperature."""
    prepared_RD = blocks.prepared(hidden_RD)
    return torch.cat([blocks.logits(i, prepared_RD).clone() for i in range(len(blocks.spans))], -1)


def _chunk(
    blocks: Blocks,
    z_RV: torch.Tensor,
    kept: torch.Tensor,
    loss: Divergence,
    grad_RD: torch.Tensor | None,
) -> torch.Tensor:
    """Return the divergences (R,) of a chunk and, where asked, fill in the gradient (R, D)."""
    plain = replace(loss, temperature=1.0)
    if grad_RD is None:
        return divergence(z_RV, kept, plain)
    z_RV.requires_grad_()
    with torch.enable_grad():
        values_R = divergence(z_RV, kept, plain)
        (slope_RV,) = torch.autograd.grad(values_R.sum(), z_RV)
    for i, (first, last) in enumerate(blocks.spans):
        blocks.add_gradient(grad_RD, i, slope_RV[:, first:last].contiguous())
    return values_R.detach()
