"""Forward KL from a teacher's moments is forward KL from its logits."""

from __future__ import annotations

import pytest
import torch

from bakery.engine.loss import fused, moments
from bakery.engine.loss.forms import Form
from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import Divergence

FORWARD = Divergence()


def head_of(vocabulary: int = 700, hidden: int = 16, *, scale: float = 1.0, bias: bool = False):
    torch.manual_seed(1)
    weight = torch.randn(vocabulary, hidden)
    return Head(weight, torch.randn(vocabulary) if bias else None, scale)


def states(n: int = 21, hidden: int = 16, apart: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    teacher_ND = torch.randn(n, hidden)
    return teacher_ND + apart * torch.randn(n, hidden), teacher_ND


def exact(student_ND, teacher_ND, head) -> tuple[torch.Tensor, torch.Tensor]:
    """Value and gradient in fp64, from all logits."""
    student_ND = student_ND.double().requires_grad_()
    double = Head(
        head.weight.double(), head.bias if head.bias is None else head.bias.double(), head.scale
    )
    log_q, log_p = (double.logits(h).log_softmax(-1) for h in (student_ND, teacher_ND.double()))
    values_N = (log_p.exp() * (log_p - log_q)).sum(-1)
    (grad_ND,) = torch.autograd.grad(values_N.sum(), student_ND)
    return values_N.detach(), grad_ND


@pytest.mark.parametrize("apart", [1e-3, 0.3, 3.0])
@pytest.mark.parametrize(
    "more", [{}, {"scale": 0.25}, {"bias": True}, {"scale": 2.0, "bias": True}]
)
def test_value_and_gradient_are_those_of_all_logits(apart: float, more: dict) -> None:
    head, (student_ND, teacher_ND) = head_of(**more), states(apart=apart)
    values_N, grad_ND = exact(student_ND, teacher_ND, head)
    known = moments.of_teacher(teacher_ND, head)
    weights_N = torch.linspace(0.5, 2, len(student_ND))
    given_ND = student_ND.clone().requires_grad_()
    total, each_N = fused.weighted_sum(given_ND, known, weights_N, head, FORWARD, Form.MOMENTS)
    total.backward()
    torch.testing.assert_close(each_N.double(), values_N, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(total.double(), (values_N * weights_N).sum(), atol=1e-4, rtol=1e-4)
    assert given_ND.grad is not None
    torch.testing.assert_close(
        given_ND.grad.double(), grad_ND * weights_N[:, None], atol=2e-5, rtol=1e-4
    )


def test_chunks_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    head, (_, teacher_ND) = head_of(1000), states(50)
    whole = moments.of_teacher(teacher_ND, head)
    monkeypatch.setattr(moments, "CPU_ROWS", 7)
    monkeypatch.setattr("bakery.engine.loss.head.CPU_BLOCK_BYTES", 1)
    cut = moments.of_teacher(teacher_ND, head)
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=1e-5)


def test_a_student_like_its_teacher_has_no_divergence_and_no_gradient() -> None:
    head, (_, teacher_ND) = head_of(30_000, 64), states(40, 64)
    known = moments.of_teacher(teacher_ND, head)
    values_N, grad_ND, agreed_N = moments.evaluated(
        teacher_ND, known, head, gradient=True, choices=True
    )
    assert values_N.abs().max() < 1e-5
    assert grad_ND is not None
    assert grad_ND.abs().max() == 0
    assert agreed_N is not None
    assert agreed_N.all()


def test_first_choices_are_compared_as_with_all_logits() -> None:
    head, (student_ND, teacher_ND) = head_of(), states(200, apart=1.0)
    _, agreed_N = fused.compare(student_ND, teacher_ND, head, FORWARD)
    known = moments.of_teacher(teacher_ND, head)
    _, ours_N = fused.compare(student_ND, known, head, FORWARD, Form.MOMENTS)
    assert 0 < agreed_N.sum() < 200
    assert torch.equal(ours_N, agreed_N)


def test_logits_far_apart_stay_finite() -> None:
    head, (student_ND, teacher_ND) = head_of(), states(apart=200.0)
    values_N, _ = exact(student_ND, 100 * teacher_ND, head)
    known = moments.of_teacher(100 * teacher_ND, head)
    found_N, grad_ND, _ = moments.evaluated(student_ND, known, head, gradient=True)
    torch.testing.assert_close(found_N.double(), values_N, atol=1e-2, rtol=1e-4)
    assert grad_ND is not None
    assert grad_ND.isfinite().all()


@pytest.mark.parametrize(
    ("head", "loss"),
    [
        (head_of(), Divergence("reverse_kl")),
        (head_of(), Divergence("forward_kl", temperature=2.0)),
        (head_of(), lambda student, teacher: student.sum(-1)),
        (Head(torch.randn(30, 4).bfloat16()), FORWARD),
        (Head(torch.randn(30, 4), softcap=5.0), FORWARD),
    ],
)
def test_moments_are_not_enough_for(head: Head, loss) -> None:
    assert moments.apply(head_of(), FORWARD)
    assert not moments.apply(head, loss)


def test_no_positions_have_no_moments() -> None:
    head = head_of()
    known = moments.of_teacher(torch.zeros(0, 16), head)
    assert known.shape == (0, 18)
    assert moments.evaluated(torch.zeros(0, 16), known, head, gradient=True)[0].shape == (0,)
