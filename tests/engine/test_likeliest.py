"""Top-k KL from the likeliest tokens alone is top-k KL from all that the teacher says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bakery.engine.loss import fused, likeliest
from bakery.engine.loss.forms import Form
from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import Divergence
from bakery.engine.loss.readout import Readout
from tests.support.library import losses, said_by, trainer
from tests.support.models import random_model

TOPK = Divergence("topk", k=5)
CLOSED = [{"prompt": f"q{i}?", "response": f"Answer number {i}."} for i in range(8)]


def head_of(**more: float) -> Head:
    torch.manual_seed(1)
    return Head(torch.randn(700, 16), torch.randn(700), **more)


def states(n: int = 21) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    teacher_ND = torch.randn(n, 16)
    return teacher_ND + 0.3 * torch.randn(n, 16), teacher_ND


def stepped(
    student_ND: torch.Tensor,
    teacher: torch.Tensor,
    head: Head,
    loss: Divergence,
    form: Form = Form.WHOLE,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the weighted sum, each divergence, and the gradient at the student."""
    weights_N = torch.linspace(0.5, 2, len(student_ND))
    given_ND = student_ND.clone().requires_grad_()
    total, values_N = fused.weighted_sum(given_ND, teacher, weights_N, head, loss, form)
    total.backward()
    assert given_ND.grad is not None
    return total.detach(), values_N, given_ND.grad


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize(
    "more", [{}, {"scale": 0.25}, {"softcap": 5.0}, {"scale": 2.0, "softcap": 3.0}]
)
def test_a_step_is_that_of_all_logits(more: dict[str, float], temperature: float) -> None:
    head, (student_ND, teacher_ND) = head_of(**more), states()
    loss = Divergence("topk", temperature=temperature, k=5)
    kept = likeliest.of_hidden(teacher_ND, head, loss)
    assert kept.shape == (21, 10)
    for ours, theirs in zip(
        stepped(student_ND, kept, head, loss, Form.LIKELIEST),
        stepped(student_ND, teacher_ND, head, loss),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_a_gradient_is_that_of_the_definition() -> None:
    head, (student_ND, teacher_ND) = head_of(), states()
    whole_ND = student_ND.clone().requires_grad_()
    values_N = TOPK(head.logits(whole_ND), head.logits(teacher_ND))
    values_N.sum().backward()
    kept = likeliest.of_hidden(teacher_ND, head, TOPK)
    found_N, grad_ND, _ = likeliest.evaluated(student_ND, kept, head, TOPK, gradient=True)
    torch.testing.assert_close(found_N, values_N.detach(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(grad_ND, whole_ND.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_student_like_its_teacher_has_nothing_to_learn(
    dtype: torch.dtype, softcap: float | None, autocast: bool
) -> None:
    torch.manual_seed(1)
    head = Head(torch.randn(3000, 64).to(dtype), softcap=softcap)
    hidden_ND = (1.5 * torch.randn(20, 64)).to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        kept = likeliest.of_hidden(hidden_ND, head, TOPK)
        values_N, grad_ND, _ = likeliest.evaluated(hidden_ND, kept, head, TOPK, gradient=True)
    assert values_N.abs().max() < 2e-6
    assert grad_ND is not None
    assert grad_ND.abs().max() < 1e-5


def test_chunks_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    head, (student_ND, teacher_ND) = head_of(softcap=5.0), states(50)
    kept = likeliest.of_hidden(teacher_ND, head, TOPK)
    whole = likeliest.evaluated(student_ND, kept, head, TOPK, gradient=True, choices=True)
    monkeypatch.setattr(likeliest, "CHUNK_BYTES", 7 * 4 * 700 * likeliest.COPIES)
    monkeypatch.setattr("bakery.engine.loss.head.CPU_BLOCK_BYTES", 1)
    torch.testing.assert_close(likeliest.of_hidden(teacher_ND, head, TOPK), kept)
    cut = likeliest.evaluated(student_ND, kept, head, TOPK, gradient=True, choices=True)
    for ours, theirs in zip(cut, whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_first_choices_are_compared() -> None:
    head, (student_ND, teacher_ND) = head_of(), states()
    kept = likeliest.of_hidden(teacher_ND, head, TOPK)
    _, agreed_N = fused.compare(student_ND, kept, head, TOPK, Form.LIKELIEST)
    _, theirs_N = fused.compare(student_ND, teacher_ND, head, TOPK)
    assert agreed_N.tolist() == theirs_N.tolist()
    assert 0 < int(agreed_N.sum()) < len(agreed_N)


def test_they_are_kept_only_where_they_are_fewer_and_enough() -> None:
    assert likeliest.width(TOPK, 16) == 10
    assert likeliest.width(TOPK, 10) is None
    assert likeliest.width(Divergence(), 16) is None


def test_there_are_no_more_tokens_than_the_vocabulary_has(tmp_path: Path) -> None:
    base = random_model(tmp_path / "model")
    run = trainer(base, tmp_path / "out", CLOSED, loss_type="topk", loss_top_k=10**6)
    loss: Any = run.loss
    assert loss.k == run.model.config.vocab_size


def test_no_positions_have_no_tokens() -> None:
    head = head_of()
    kept = likeliest.of_hidden(torch.zeros(0, 16), head, TOPK)
    assert kept.shape == (0, 10)
    values_N, grad_ND, _ = likeliest.evaluated(torch.zeros(0, 16), kept, head, TOPK, gradient=True)
    assert values_N.shape == (0,)
    assert grad_ND is not None
    assert grad_ND.shape == (0, 16)


@pytest.mark.parametrize("evaluation", [None, CLOSED[:2]], ids=["probed", "held out"])
@pytest.mark.parametrize("kept", ["hidden", "logits"])
def test_over_the_budget_topk_trains_from_the_tokens_that_it_reads(
    evaluation: Any, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept == "logits":  # as where an architecture does more than multiply by its head
        monkeypatch.setattr(Readout, "_probe", lambda *_: False)
    base, seen, limit, told = random_model(tmp_path / "model"), [], 16.0, []
    for name in ("whole", "partial"):
        run = trainer(
            base,
            tmp_path / name,
            CLOSED,
            evaluation=evaluation,
            eval_strategy="epoch" if evaluation else "no",
            teacher_record_gb=limit,
            loss_type="topk",
            loss_top_k=2,
        )
        before = run.fidelity(without_adapter=True)
        run.train()
        evaluated = [row["eval_loss"] for row in run.state.log_history if "eval_loss" in row]
        seen.append([*losses(run), *evaluated, before.kl, run.fidelity().kl])
        told.append([note for note in said_by(run) if "only the tokens that topk reads" in note])
        # More than two tokens of a position take, and less than all of its features.
        limit = 24e-9 * sum(pair.num_targets for pair in run.train_dataset.pairs)
    assert seen[1] == pytest.approx(seen[0], rel=1e-4)
    assert min(seen[0]) > 0
    assert [len(notes) for notes in told] == [0, 1]
