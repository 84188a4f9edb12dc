"""Head and divergence in one: value and gradient at the hidden states, a chunk of logits at a time.

The weights of the positions are known beforehand and the head is frozen. So the gradient at the
student's hidden states is made with the value, and a chunk's logits are dropped before the next.
Student and teacher share one matrix product. The softmax is taken in fp32 while a block of the
vocabulary is still in a processor's cache (online softmax, arXiv 1805.02867).
Shapes: N target positions · R of them in a chunk · D hidden · V vocabulary · B of it in a block
· S = 2R: a chunk's student rows, then its teacher rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from bakery.engine.loss import likeliest, moments, other_head
from bakery.engine.loss.forms import Form
from bakery.engine.loss.head import Blocks, Head
from bakery.engine.loss.losses import Divergence, Loss

CHUNK_BYTES = 160 * 2**20
"""What the logits of one chunk may take, the student's and the teacher's together."""
CPU_CHUNK_ROWS = 128
"""Most positions in a chunk on a CPU: its matrix products are at their fastest then."""
GENERIC_COPIES = 8
"""How many times a chunk's logits the generic path holds: a loss keeps what it likes."""


def weighted_sum(
    student_ND: torch.Tensor,
    teacher_ND: torch.Tensor,
    weights_N: torch.Tensor,
    head: Head,
    loss: Loss,
    form: Form = Form.WHOLE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Σ weight · divergence with its gradient at the student, and each divergence (N,).

    The teacher is detached. Both are hidden states that `head` turns into logits, or the teacher's
    are `moments` (N, D + 2), its `likeliest` tokens (N, 2 K) or of another head: `form` says which.
    """
    total, values_N = _WeightedSum.apply(student_ND, teacher_ND, weights_N, head, loss, form)
    return total, values_N


def compare(
    student_ND: torch.Tensor,
    teacher_ND: torch.Tensor,
    head: Head,
    loss: Loss,
    form: Form = Form.WHOLE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each position's divergence (N,), and where both have the same first choice (N,)."""
    values_N, _, agreed_N = _evaluated(student_ND, teacher_ND, head, loss, form, choices=True)
    assert agreed_N is not None  # asked for
    return values_N, agreed_N


class _WeightedSum(torch.autograd.Function):
    """Makes the gradient in forward, in fp32, and multiplies it in backward."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        student_ND, teacher_ND, weights_N, head, loss, form = given
        values_N, grad_ND, _ = _evaluated(
            student_ND, teacher_ND, head, loss, form, gradient=ctx.needs_input_grad[0]
        )
        weights_N = weights_N.to(values_N)
        if grad_ND is not None:
            ctx.save_for_backward(grad_ND.mul_(weights_N[:, None]))
            ctx.dtype = student_ND.dtype
        ctx.mark_non_differentiable(values_N)
        return (values_N * weights_N).sum(), values_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_ND,) = ctx.saved_tensors
        return (grad_ND * grads[0]).to(ctx.dtype), None, None, None, None, None


@torch.no_grad()
def _evaluated(
    student_ND: torch.Tensor,
    teacher_ND: torch.Tensor,
    head: Head,
    loss: Loss,
    form: Form,
    *,
    gradient: bool = False,
    choices: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return, going through the positions chunk by chunk, each one's divergence (N,);

    where asked for, its gradient at the student (N, D), and where first choices agree (N,).
    """
    if form is Form.MOMENTS:
        return moments.evaluated(student_ND, teacher_ND, head, gradient=gradient, choices=choices)
    if form is Form.LIKELIEST:
        assert isinstance(loss, Divergence)  # no other keeps them
        return likeliest.evaluated(
            student_ND, teacher_ND, head, loss, gradient=gradient, choices=choices
        )
    if form is Form.OTHER:
        return other_head.evaluated(
            student_ND, teacher_ND, head, loss, gradient=gradient, choices=choices
        )
    n, device = len(student_ND), head.weight.device
    values_N = torch.zeros(n, device=device)
    grad_ND = torch.zeros(student_ND.shape, device=device) if gradient else None
    agreed_N = torch.zeros(n, dtype=torch.bool, device=device) if choices else None
    if n == 0:
        return values_N, grad_ND, agreed_N
    rule = _RULES.get(loss.kind, _by_autograd) if isinstance(loss, Divergence) else _by_autograd
    temperature = loss.temperature if isinstance(loss, Divergence) else 1.0
    kept = 0 if rule in (_kl, _by_autograd) and not gradient else 2
    kept += gradient and head.softcap is not None
    rows = _rows(head, GENERIC_COPIES if rule is _by_autograd else max(kept, 2), n)
    blocks = Blocks(head, rows, temperature=temperature, kept=kept)
    with torch.autocast(device.type, enabled=False):
        for start in range(0, n, rows):
            at = slice(start, start + rows)
            pair_SD = torch.cat([student_ND[at].float(), teacher_ND[at].float()])
            chunk = _Chunk(blocks, blocks.prepared(pair_SD), choices)
            grad_RD = grad_ND[at] if grad_ND is not None else None
            values_N[at] = rule(chunk, loss, grad_RD)
            if agreed_N is not None:
                agreed_N[at] = chunk.agreed()
    if grad_ND is not None:
        grad_ND *= head.scale / temperature
    return values_N, grad_ND, agreed_N


def _rows(head: Head, copies: int, n: int) -> int:
    """Return how many of `n` positions make a chunk: even chunks within the budget, at least 1."""
    device, vocabulary = head.weight.device, len(head.weight)
    most = max(CHUNK_BYTES // (copies * vocabulary * 4), 1)
    if device.type == "cpu":
        most = min(most, CPU_CHUNK_ROWS)
    return math.ceil(n / math.ceil(n / most))


class _Chunk:
    """One chunk's logits, passed once by blocks: running maximum, sum of exponentials, choice."""

    def __init__(self, blocks: Blocks, prepared_SD: torch.Tensor, choices: bool) -> None:
        self.blocks, self.prepared_SD = blocks, prepared_SD
        self.rows = len(prepared_SD) // 2
        # Not -inf: the difference of two would be nan where a whole block is masked.
        lowest = torch.finfo(torch.float32).min
        self.top_S = torch.full_like(prepared_SD[:, 0], lowest, dtype=torch.float32)
        self.sum_S = torch.zeros_like(self.top_S)
        self._choice_S = torch.zeros_like(self.top_S, dtype=torch.long) if choices else None

    def __iter__(self) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """Yield each block: its number, its logits, and what older sums are worth (S,).

        The maximum includes the block then; `sum_S` is the caller's to go on with.
        """
        for i, (start, _) in enumerate(self.blocks.spans):
            z_SB = self.blocks.logits(i, self.prepared_SD)
            if self._choice_S is None:
                top_S = z_SB.amax(-1)
            else:
                top_S, token_S = z_SB.max(-1)
                self._choice_S = torch.where(top_S > self.top_S, token_S + start, self._choice_S)
            top_S = torch.maximum(top_S, self.top_S)
            older_S = (self.top_S - top_S).exp_()
            self.top_S = top_S
            yield i, z_SB, older_S

    def agreed(self) -> torch.Tensor:
        """Return where student and teacher have the same first choice (R,)."""
        assert self._choice_S is not None  # asked for
        return self._choice_S[: self.rows] == self._choice_S[self.rows :]

    def log_ratio(self) -> torch.Tensor:
        """Return log(student's partition sum / teacher's) (R,); exact where both are large."""
        r, log_S = self.rows, self.sum_S.log()
        return (self.top_S[:r] - self.top_S[r:]) + (log_S[:r] - log_S[r:])


Rule = Callable[[_Chunk, Any, torch.Tensor | None], torch.Tensor]
"""Returns the divergences (R,) of a chunk and, where asked, fills in the gradient (R, D)."""


def _kl(chunk: _Chunk, loss: Divergence, grad_RD: torch.Tensor | None) -> torch.Tensor:
    """KL either way. With gap = student's logit - teacher's, p the teacher, q the student:

    forward Σ p (-gap) + log Zq/Zp, slope q - p; reverse Σ q gap - log Zq/Zp, slope
    q (gap - Σ q gap). Left are e^z of the student and, of the teacher, e^z (forward) or the gap.
    """
    r, blocks = chunk.rows, chunk.blocks
    is_forward = loss.kind == "forward_kl"
    leader = slice(r, None) if is_forward else slice(0, r)
    product_R, tops = torch.zeros_like(chunk.sum_S[:r]), []
    for i, z_SB, older_S in chunk:
        gap_RB = torch.sub(z_SB[:r], z_SB[r:], out=blocks.spare(i, r))
        e_SB = z_SB.sub_(chunk.top_S[:, None]).exp_()
        chunk.sum_S.mul_(older_S).add_(e_SB.sum(-1))
        if not is_forward:
            e_SB[r:] = gap_RB
        product_R.mul_(older_S[leader]).add_(gap_RB.mul_(e_SB[leader]).sum(-1))
        tops.append(chunk.top_S)
    mean_R = product_R / chunk.sum_S[leader]
    value_R = chunk.log_ratio() - mean_R if is_forward else mean_R - chunk.log_ratio()
    if grad_RD is None:
        return value_R
    for i, top_S in enumerate(tops):
        share_S1 = ((top_S - chunk.top_S).exp_() / chunk.sum_S)[:, None]
        left_SB, slope_RB = blocks.place(i, r), blocks.spare(i, r)
        if is_forward:
            torch.mul(left_SB[:r], share_S1[:r], out=slope_RB)
            slope_RB.addcmul_(left_SB[r:], share_S1[r:], value=-1)
        else:
            torch.sub(left_SB[r:], mean_R[:, None], out=slope_RB)
            slope_RB.mul_(left_SB[:r]).mul_(share_S1[:r])
        blocks.add_gradient(grad_RD, i, slope_RB)
    return value_R


def _jensen_shannon(chunk: _Chunk, loss: Divergence, grad_RD: torch.Tensor | None) -> torch.Tensor:
    """β KL(p ‖ m) + (1-β) KL(q ‖ m), slope (1-β) q (log q/m - Σ q log q/m).

    The mixture m needs both partition sums: its terms are made in a second pass over the logits.
    """
    r, blocks, beta = chunk.rows, chunk.blocks, loss.beta
    for i, z_SB, older_S in chunk:
        e_SB = torch.sub(z_SB, chunk.top_S[:, None], out=blocks.spare(i, 2 * r)).exp_()
        chunk.sum_S.mul_(older_S).add_(e_SB.sum(-1))
    log_z_S1 = (chunk.top_S + chunk.sum_S.log())[:, None]
    of_p_R, of_q_R = torch.zeros_like(chunk.sum_S[:r]), torch.zeros_like(chunk.sum_S[:r])
    for i in range(len(blocks.spans)):
        log_SB = blocks.place(i, r).sub_(log_z_S1)
        e_SB = torch.exp(log_SB, out=blocks.spare(i, 2 * r))
        log_m_RB = (e_SB[r:] * beta).add_(e_SB[:r], alpha=1 - beta)
        # Where both probabilities are zero in fp32 the logarithm must stay finite.
        log_m_RB.clamp_min_(torch.finfo(torch.float32).tiny).log_()
        log_SB.view(2, r, -1).sub_(log_m_RB)
        of_p_R += e_SB[r:].mul_(log_SB[r:]).sum(-1)
        log_SB[r:] = e_SB[:r]
        of_q_R += e_SB[:r].mul_(log_SB[:r]).sum(-1)
    value_R = beta * of_p_R + (1 - beta) * of_q_R
    if grad_RD is None:
        return value_R
    for i in range(len(blocks.spans)):
        left_SB = blocks.place(i, r)
        slope_RB = left_SB[:r].sub_(of_q_R[:, None]).mul_(left_SB[r:]).mul_(1 - beta)
        blocks.add_gradient(grad_RD, i, slope_RB)
    return value_R


def _by_autograd(chunk: _Chunk, loss: Loss, grad_RD: torch.Tensor | None) -> torch.Tensor:
    """Any other loss: its value and gradient at the chunk's whole logits."""
    if isinstance(loss, Divergence):
        loss = replace(loss, temperature=1.0)  # the blocks' logits are divided by it
    z_SV = torch.cat([z_SB.clone() for _, z_SB, _ in chunk], dim=-1)
    student_RV, teacher_RV = z_SV[: chunk.rows], z_SV[chunk.rows :]
    if grad_RD is None:
        return loss(student_RV, teacher_RV)
    student_RV.requires_grad_()
    with torch.enable_grad():
        values_R = loss(student_RV, teacher_RV)
        (slope_RV,) = torch.autograd.grad(values_R.sum(), student_RV)
    for i, (start, stop) in enumerate(chunk.blocks.spans):
        chunk.blocks.add_gradient(grad_RD, i, slope_RV[:, start:stop])
    return values_R.detach()


_RULES: dict[str, Rule] = {"forward_kl": _kl, "reverse_kl": _kl, "jsd": _jensen_shannon}
