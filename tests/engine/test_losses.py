"""The divergences: what their definitions promise."""

from __future__ import annotations

import pytest
import torch

from bakery.engine.losses import LOSSES, forward_kl, reverse_kl, top1_agreement


def logits(seed: int, rows: int = 5, vocabulary: int = 11) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_divergence_is_zero_at_equality(name: str) -> None:
    assert LOSSES[name](logits(1), logits(1)).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_divergence_ignores_a_shift_of_all_logits(name: str) -> None:
    moved = LOSSES[name](logits(1) + 7.0, logits(2) - 3.0)
    assert moved.item() == pytest.approx(LOSSES[name](logits(1), logits(2)).item(), rel=1e-4)


def test_forward_kl_equals_its_definition() -> None:
    p, q = logits(1).double().softmax(-1), logits(2).double().softmax(-1)
    expected = (p * (p / q).log()).sum()
    assert forward_kl(logits(2), logits(1)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_reverse_kl_swaps_the_roles() -> None:
    assert reverse_kl(logits(1), logits(2)).item() == forward_kl(logits(2), logits(1)).item()


def test_sums_add_up_across_batches() -> None:
    student, teacher = logits(1, rows=6), logits(2, rows=6)
    parts = forward_kl(student[:2], teacher[:2]) + forward_kl(student[2:], teacher[2:])
    assert parts.item() == pytest.approx(forward_kl(student, teacher).item(), rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_step_down_the_gradient_comes_closer(name: str) -> None:
    student = logits(1).requires_grad_()
    before = LOSSES[name](student, logits(2))
    before.backward()
    assert student.grad is not None
    assert LOSSES[name](student.detach() - 0.1 * student.grad, logits(2)) < before


def test_the_softmax_of_half_precision_logits_is_taken_in_fp32() -> None:
    assert forward_kl(logits(1).bfloat16(), logits(2).bfloat16()).dtype == torch.float32


def test_agreement_counts_equal_first_choices() -> None:
    student = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]])
    teacher = torch.tensor([[0.0, 5.0], [0.0, 1.0], [1.0, 3.0]])
    assert top1_agreement(student, teacher).item() == 2
