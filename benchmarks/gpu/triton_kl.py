"""Forward KL with its gradient by one Triton kernel a chunk of logits: what ours is set against.

It goes about it as `engine/loss/fused.py` does, but for what torch takes several kernels for:
one program a position reads its logits twice, and leaves the slope in bf16.
Shapes: N positions · R of them in a chunk · D hidden · V vocabulary · B of it in a block.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from bakery.engine.loss.fused import CHUNK_BYTES

MOST_BLOCK = 8192


@triton.jit
def _kernel(student, teacher, slope, values, scale, vocabulary, BLOCK: tl.constexpr):
    """Write KL(teacher ‖ student) of one position, and scale · (q - p), its slope."""
    row = tl.program_id(0).to(tl.int64)
    start = row * vocabulary
    lowest = -3.0e38  # not -inf: the difference of two would be nan
    top_q, top_p = lowest, lowest
    sum_q, sum_p, product = 0.0, 0.0, 0.0
    for at in range(0, vocabulary, BLOCK):
        token = at + tl.arange(0, BLOCK)
        inside = token < vocabulary
        z_q = tl.load(student + start + token, mask=inside, other=lowest)
        z_p = tl.load(teacher + start + token, mask=inside, other=lowest)
        new_q, new_p = tl.maximum(top_q, tl.max(z_q)), tl.maximum(top_p, tl.max(z_p))
        older_p = tl.exp(top_p - new_p)
        e_p = tl.exp(z_p - new_p)
        sum_q = sum_q * tl.exp(top_q - new_q) + tl.sum(tl.exp(z_q - new_q))
        sum_p = sum_p * older_p + tl.sum(e_p)
        gap = tl.where(inside, z_p - z_q, 0.0)
        product = product * older_p + tl.sum(e_p * gap)
        top_q, top_p = new_q, new_p
    log_q, log_p = top_q + tl.log(sum_q), top_p + tl.log(sum_p)
    tl.store(values + row, product / sum_p + log_q - log_p)
    for at in range(0, vocabulary, BLOCK):
        token = at + tl.arange(0, BLOCK)
        inside = token < vocabulary
        q = tl.exp(tl.load(student + start + token, mask=inside, other=lowest) - log_q)
        p = tl.exp(tl.load(teacher + start + token, mask=inside, other=lowest) - log_p)
        tl.store(slope + start + token, (scale * (q - p)).to(tl.bfloat16), mask=inside)


def forward_kl(
    student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
) -> torch.Tensor:
    """Return the mean of KL(teacher ‖ student); its gradient is made with it."""
    return _ForwardKL.apply(student_ND, teacher_ND, weight_VD)  # type: ignore[no-any-return]


class _ForwardKL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
    ) -> torch.Tensor:
        n, vocabulary = len(student_ND), len(weight_VD)
        rows = min(n, max(1, CHUNK_BYTES // (2 * 4 * vocabulary)))
        values_N = torch.empty(n, device=student_ND.device)
        grad_ND = torch.empty_like(student_ND)
        slope_RV = torch.empty(rows, vocabulary, dtype=torch.bfloat16, device=student_ND.device)
        block = min(MOST_BLOCK, triton.next_power_of_2(vocabulary))
        for start in range(0, n, rows):
            at = slice(start, min(start + rows, n))
            r = at.stop - at.start
            student_RV, teacher_RV = (_logits(h[at], weight_VD) for h in (student_ND, teacher_ND))
            # Not divided by N yet: bf16 has as many bits of it then, and no fewer numbers.
            _kernel[(r,)](
                student_RV, teacher_RV, slope_RV, values_N[at], 1.0, vocabulary,
                BLOCK=block, num_warps=8,
            )  # fmt: skip
            grad_ND[at] = slope_RV[:r] @ weight_VD
        ctx.save_for_backward(grad_ND)
        return values_N.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad_ND,) = ctx.saved_tensors
        return grad_ND * (grads[0] / len(grad_ND)), None, None


def _logits(hidden_RD: torch.Tensor, weight_VD: torch.Tensor) -> torch.Tensor:
    """Return logits in fp32, as a product of bf16 where that is possible."""
    if hidden_RD.is_cuda:
        return torch.mm(hidden_RD, weight_VD.t(), out_dtype=torch.float32)
    return hidden_RD.float() @ weight_VD.float().t()
