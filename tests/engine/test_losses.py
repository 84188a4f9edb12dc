"""The divergences: what their definitions promise."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from bakery.engine.loss.losses import (
    LOSSES,
    compute_kl_divergence,
    forward_kl,
    jensen_shannon,
    make_loss,
    reverse_kl,
    top1_agreement,
    top_k_kl,
)

EVERY = {**LOSSES, "top 3": partial(top_k_kl, k=3), "jsd 0.1": partial(jensen_shannon, beta=0.1)}


def logits(seed: int, rows: int = 5, vocabulary: int = 11) -> torch.Tensor:
    return torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_divergence_is_zero_at_equality_and_positive_elsewhere(name: str) -> None:
    assert EVERY[name](logits(1), logits(1)).abs().max() < 1e-6
    assert EVERY[name](logits(1), logits(2)).min() > 0


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_divergence_ignores_a_shift_of_all_logits(name: str) -> None:
    moved = EVERY[name](logits(1) + 7.0, logits(2) - 3.0)
    torch.testing.assert_close(moved, EVERY[name](logits(1), logits(2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_step_down_the_gradient_comes_closer(name: str) -> None:
    student = logits(1).requires_grad_()
    before = EVERY[name](student, logits(2)).sum()
    before.backward()
    assert student.grad is not None
    assert EVERY[name](student.detach() - 0.1 * student.grad, logits(2)).sum() < before


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_divergence_gives_one_value_a_position(name: str) -> None:
    assert EVERY[name](logits(1), logits(2)).shape == (5,)
    assert EVERY[name](logits(1)[:0], logits(2)[:0]).sum() == 0


def test_forward_kl_equals_its_definition() -> None:
    p, q = logits(1).double().softmax(-1), logits(2).double().softmax(-1)
    expected = (p * (p / q).log()).sum(-1).float()
    torch.testing.assert_close(forward_kl(logits(2), logits(1)), expected, rtol=1e-4, atol=1e-6)


def test_reverse_kl_swaps_the_roles() -> None:
    assert reverse_kl(logits(1), logits(2)).equal(forward_kl(logits(2), logits(1)))


def test_the_jensen_shannon_divergence_equals_its_definition() -> None:
    p, q = logits(1).double().softmax(-1), logits(2).double().softmax(-1)
    m = 0.3 * p + 0.7 * q
    expected = 0.3 * (p * (p / m).log()).sum(-1) + 0.7 * (q * (q / m).log()).sum(-1)
    ours = jensen_shannon(logits(2), logits(1), beta=0.3)
    torch.testing.assert_close(ours, expected.float(), rtol=1e-4, atol=1e-6)


def test_top_k_is_a_lower_bound_and_exact_over_the_whole_vocabulary() -> None:
    whole = forward_kl(logits(1), logits(2))
    assert (top_k_kl(logits(1), logits(2), k=3) <= whole + 1e-6).all()
    torch.testing.assert_close(top_k_kl(logits(1), logits(2), k=11), whole)
    torch.testing.assert_close(top_k_kl(logits(1), logits(2), k=10), whole, rtol=1e-3, atol=1e-5)


def test_a_temperature_divides_both_logits() -> None:
    hot = make_loss("forward_kl", temperature=2.0)(logits(1), logits(2))
    torch.testing.assert_close(hot, forward_kl(logits(1) / 2, logits(2) / 2))


def test_the_softmax_of_half_precision_logits_is_taken_in_fp32() -> None:
    assert forward_kl(logits(1).bfloat16(), logits(2).bfloat16()).dtype == torch.float32


def test_agreement_counts_equal_first_choices() -> None:
    student = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]])
    teacher = torch.tensor([[0.0, 5.0], [0.0, 1.0], [1.0, 3.0]])
    assert top1_agreement(student, teacher).item() == 2


def test_the_seeds_function_averages_over_each_examples_mask() -> None:
    teacher, student = logits(1, rows=6).view(2, 3, 11), logits(2, rows=6).view(2, 3, 11)
    mask = torch.tensor([[1, 0, 1], [0, 0, 0]])
    each = compute_kl_divergence(teacher, student, mask, per_sample=True)
    expected = forward_kl(student[0, [0, 2]], teacher[0, [0, 2]]).mean()
    torch.testing.assert_close(each, torch.stack([expected, torch.tensor(0.0)]))
    assert compute_kl_divergence(teacher, student, mask) == each.mean()
