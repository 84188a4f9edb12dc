"""A teacher with a head of its own: what is kept of it gives the divergence of all its logits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bakery.engine.loss import fused, moments, other_head
from bakery.engine.loss.forms import Form
from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import Divergence
from bakery.engine.loss.other_readout import OtherReadout
from bakery.engine.loss.readout import Readout
from bakery.engine.teacher import teacher
from tests.support.baking import Bench
from tests.support.students import pair

LOSSES = [
    Divergence(),
    Divergence("reverse_kl"),
    Divergence("jsd", beta=0.3),
    Divergence("topk", k=5),
    Divergence(temperature=2.0),
]
VOCABULARY = 300


def heads(*, padded: int = 0, **more: float) -> tuple[Head, Head]:
    """Return the head of a student and that of its wider teacher."""
    torch.manual_seed(1)
    theirs = Head(torch.randn(VOCABULARY, 24), torch.randn(VOCABULARY), scale=0.5)
    rows = VOCABULARY + padded
    return Head(torch.randn(rows, 16), torch.randn(rows), **more, teacher=theirs), theirs


def states(n: int = 21) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(n, 16), torch.randn(n, 24)


def stepped(
    head: Head, loss: Divergence, kept: torch.Tensor, form: Form
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each divergence, and the gradient at the student."""
    student_ND, weights_N = states()[0].requires_grad_(), torch.linspace(0.5, 2, 21)
    total, values_N = fused.weighted_sum(student_ND, kept, weights_N, head, loss, form)
    total.backward()
    assert student_ND.grad is not None
    return values_N, student_ND.grad


def whole(head: Head, loss: Divergence) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same from all logits of both sides, over the tokens that both have."""
    student_ND, teacher_ND = states()
    student_ND.requires_grad_()
    assert head.teacher is not None
    said_NV = head.teacher.logits(teacher_ND)
    values_N = loss(head.logits(student_ND)[:, :VOCABULARY], said_NV)
    (values_N * torch.linspace(0.5, 2, 21)).sum().backward()
    assert student_ND.grad is not None
    return values_N.detach(), student_ND.grad


@pytest.mark.parametrize("more", [{}, {"scale": 0.25}, {"softcap": 5.0}, {"padded": 7}])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda one: f"{one.kind}-{one.temperature:g}")
def test_its_own_features_give_a_step_of_all_logits(
    loss: Divergence, more: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_head, "CHUNK_BYTES", 10 * 8 * VOCABULARY * 4)  # in three chunks
    head, _ = heads(**more)  # type: ignore[arg-type]
    for ours, theirs in zip(
        stepped(head, loss, states()[1], Form.OTHER), whole(head, loss), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_moments_in_the_students_head_are_all_that_forward_kl_needs(scale: float) -> None:
    head, theirs = heads(scale=scale)
    kept = moments.of_logits(theirs.logits(states()[1]), head)
    assert kept.shape == (21, 16 + moments.EXTRA)
    for ours, all_logits in zip(
        stepped(head, Divergence(), kept, Form.MOMENTS), whole(head, Divergence()), strict=True
    ):
        torch.testing.assert_close(ours, all_logits, atol=2e-5, rtol=1e-4)


def test_a_record_of_a_wider_teacher_is_as_wide_as_the_student(tmp_path: Path) -> None:
    big, small = (Bench(tmp_path, folder).base().model for folder in pair(tmp_path))
    student = Readout(small)
    read = OtherReadout(big, student)
    size = teacher.size_of(big, read, (), read.form(Divergence(), 64), Divergence())
    assert (student.width, read.width, size.width) == (48, 64, 48 + moments.EXTRA)
    reverse = Divergence("reverse_kl")
    assert read.form(reverse, 64) is Form.OTHER
    assert teacher.size_of(big, read, (), Form.OTHER, reverse).width == 64


def test_tokens_that_only_one_head_has_have_no_probability(tmp_path: Path) -> None:
    big, small = (Bench(tmp_path, folder).base().model for folder in pair(tmp_path, padded=5))
    read = OtherReadout(big, Readout(small))
    found = read.logits(torch.randn(3, 64))
    assert found.shape == (3, 264)
    assert float(found.softmax(-1)[:, 259:].max()) == 0.0
    other = OtherReadout(small, Readout(big))
    assert other.logits(torch.randn(3, 48)).shape == (3, 259)


def test_a_teacher_that_is_no_student_of_itself_speaks_as_it_stands(tmp_path: Path) -> None:
    big = Bench(tmp_path, pair(tmp_path)[0]).base().model
    with teacher.teaching(big):
        width, dtype = teacher.whole(big, Readout(big))
    assert (width, dtype) == (64, torch.float32)
