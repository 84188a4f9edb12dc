"""A loss with its gradient at the hidden states: ours, and what others offer for the same.

Each side is first held to the definition in fp64 on the CPU, from the same numbers in bf16, and
only then timed. A side that rounds logits to bf16 is off by u · |logit| there, which is compared
with the gap between student and teacher: that much more is allowed, to it alone.
Shapes: N positions · D hidden · V vocabulary.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once

from bakery.engine.loss.fused import weighted_sum
from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import LOSSES, Divergence
from benchmarks.gpu import device as on
from benchmarks.gpu.cases import CHECKED_HIDDEN, Shape, Size

Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Student (N, D), teacher (N, D) and head (V, D) to the mean divergence."""

KINDS = ("forward_kl", "reverse_kl", "jsd")
GAP = 0.3
"""How far the teacher's hidden states are from the student's, over their own size."""
LOGIT = 2.0
"""Standard deviation of the logits."""
BETAS = {"forward_kl": 0.0, "reverse_kl": 1.0, "jsd": 0.5}
"""What Liger calls these."""


def missing(side: str, device: str) -> str | None:
    """Return why a side is not here; None: it can be measured."""
    if side in ("liger", "triton"):
        package = {"liger": "liger_kernel", "triton": "triton"}[side]
        if not importlib.util.find_spec(package):
            return f"`pip install {package.replace('_', '-')}` would add it"
        if device != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
            return "Triton needs a GPU (or TRITON_INTERPRET=1, to be tried without one)"
    if side == "compiled" and device != "cuda" and not shutil.which("g++"):
        return "torch.compile needs a C++ compiler on a CPU"
    if side == "compiled" and device == "cuda" and not importlib.util.find_spec("triton"):
        return "torch.compile needs Triton on a GPU: `pip install triton`"
    return None


def measure(side: str, shape: Shape, size: Size, device: str) -> Iterator[dict[str, Any]]:
    """Yield, of one kind of divergence after the other, how far a side is off and what it costs."""
    kinds = KINDS if side != "triton" else KINDS[:1]
    if device != "cuda" and side == "compiled":
        kinds = KINDS[:1]  # a C++ compiler takes ten seconds for each
    for kind in kinds:
        loss = _SIDES[side](kind)
        row: dict[str, Any] = {"loss": kind}
        try:
            row |= check(side, loss, kind, shape, size, device)
            if not row["is_off"]:
                row |= cost(loss, shape, size, device)
        except torch.cuda.OutOfMemoryError as error:
            row["error"] = str(error).partition("\n")[0]
        on.freed()
        yield row


def check(
    side: str, loss: Loss, kind: str, shape: Shape, size: Size, device: str
) -> dict[str, Any]:
    """Return how far loss and gradient are from the definition, and what is allowed."""
    narrow = replace(shape, hidden=min(shape.hidden, CHECKED_HIDDEN))
    student_ND, teacher_ND, weight_VD = _inputs(narrow, size.checked, device)
    value, grad_ND = _gradient(loss, student_ND, teacher_ND, weight_VD)
    wide = (student_ND.cpu().double(), teacher_ND.cpu().double(), weight_VD.cpu().double())
    expected, expected_ND = _gradient(_definition(kind), *wide)
    logits = wide[0] @ wide[2].t(), wide[1] @ wide[2].t()
    allowed = on.UNIT * (1 + (0 if side in ("ours", "triton") else _gaps(*logits)))
    value_off = abs(value - expected) / abs(expected)
    grad_off = float((grad_ND.cpu().double() - expected_ND).norm() / expected_ND.norm())
    return {
        "value": value,
        "value_fp64": expected,
        "value_off": value_off,
        "value_allowed": allowed,
        "gradient_off": grad_off,
        # The slope is rounded before the product with the head, and the gradient behind it.
        "gradient_allowed": 2 * allowed,
        "is_off": not (value_off <= allowed and grad_off <= 2 * allowed),
    }


def cost(loss: Loss, shape: Shape, size: Size, device: str) -> dict[str, Any]:
    """Return the seconds and the memory of one loss with its gradient."""
    given = _inputs(shape, size.positions, device)

    def work() -> None:
        _gradient(loss, *given)

    seconds = on.median_s(device, work, warm_up=size.warm_up, repeats=size.repeats)
    return {
        "positions": size.positions,
        "hidden": shape.hidden,
        "vocabulary": shape.vocabulary,
        "seconds": seconds,
        "grown_mb": on.grown_mb(device, work),
    }


def _gaps(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> float:
    """Return how many times a logit is the gap between student and teacher."""
    size, gap = student_NV.std(), (student_NV - teacher_NV).std()
    return float(size / gap)


def _inputs(shape: Shape, positions: int, device: str) -> tuple[torch.Tensor, ...]:
    """Return student, teacher and head in bf16, the same on every device."""
    draw = torch.Generator(device).manual_seed(3)

    def normal(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=draw, device=device)

    student_ND = normal(positions, shape.hidden)
    teacher_ND = student_ND + GAP * normal(positions, shape.hidden)
    weight_VD = normal(shape.vocabulary, shape.hidden) * (LOGIT / shape.hidden**0.5)
    return student_ND.bfloat16(), teacher_ND.bfloat16(), weight_VD.bfloat16()


def _gradient(
    loss: Loss, student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Return a loss and its gradient at the student."""
    student_ND = student_ND.detach().requires_grad_()
    value = loss(student_ND, teacher_ND, weight_VD)
    (grad_ND,) = torch.autograd.grad(value, student_ND)
    return float(value.detach()), grad_ND


def _definition(kind: str) -> Loss:
    """Return a divergence by its definition, in the type of what it is given."""

    def loss(
        student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
    ) -> torch.Tensor:
        log_q_NV = F.log_softmax(student_ND @ weight_VD.t(), dim=-1)
        log_p_NV = F.log_softmax(teacher_ND @ weight_VD.t(), dim=-1)
        q_NV, p_NV = log_q_NV.exp(), log_p_NV.exp()
        if kind == "forward_kl":
            terms_NV = p_NV * (log_p_NV - log_q_NV)
        elif kind == "reverse_kl":
            terms_NV = q_NV * (log_q_NV - log_p_NV)
        else:
            log_m_NV = (0.5 * (p_NV + q_NV)).log()
            terms_NV = 0.5 * (p_NV * (log_p_NV - log_m_NV) + q_NV * (log_q_NV - log_m_NV))
        return terms_NV.sum(-1).mean()

    return loss


def _ours(kind: str) -> Loss:
    def loss(
        student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
    ) -> torch.Tensor:
        n = len(student_ND)
        weights_N = torch.full((n,), 1 / n, device=student_ND.device)
        return weighted_sum(student_ND, teacher_ND, weights_N, Head(weight_VD), Divergence(kind))[0]

    return loss


def _plain(kind: str) -> Loss:
    """All logits at once, and autograd: what anyone writes first."""

    def loss(
        student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
    ) -> torch.Tensor:
        return LOSSES[kind](student_ND @ weight_VD.t(), teacher_ND @ weight_VD.t()).mean()

    return loss


def _compiled(kind: str) -> Loss:
    return torch.compile(_plain(kind), fullgraph=True, dynamic=False)


def _liger(kind: str) -> Loss:
    from liger_kernel.transformers.fused_linear_jsd import LigerFusedLinearJSD

    fused = LigerFusedLinearJSD(jsd_beta=BETAS[kind])

    def loss(
        student_ND: torch.Tensor, teacher_ND: torch.Tensor, weight_VD: torch.Tensor
    ) -> torch.Tensor:
        return fused(student_ND, weight_VD, teacher_ND, weight_VD, None)

    return loss


def _triton(kind: str) -> Loss:
    from benchmarks.gpu.triton_kl import forward_kl

    assert kind == "forward_kl"  # the only one that is written
    return forward_kl


_SIDES: dict[str, Callable[[str], Loss]] = {
    "ours": _ours,
    "plain": _plain,
    "compiled": _compiled,
    "liger": _liger,
    "triton": _triton,
}
