"""The fused divergence: what the plain one gives, a chunk of logits at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bakery.engine.loss import fused
from bakery.engine.loss import head as blocks
from bakery.engine.loss.fused import compare, weighted_sum
from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import LOSSES, Divergence, Loss, forward_kl

N, D, V = 21, 32, 700
KINDS = sorted(LOSSES)


def given(seed: int = 0, *, spread: float = 0.3) -> tuple[torch.Tensor, ...]:
    """Return student (N, D), teacher (N, D), weights (N,), a head's weight (V, D) and bias (V,)."""
    draw = torch.Generator().manual_seed(seed)
    student_ND = torch.randn(N, D, generator=draw)
    teacher_ND = student_ND + 0.3 * torch.randn(N, D, generator=draw)
    weights_N = torch.rand(N, generator=draw)
    weight_VD = spread * torch.randn(V, D, generator=draw)
    return student_ND, teacher_ND, weights_N, weight_VD, torch.randn(V, generator=draw)


def plain(
    student_ND: torch.Tensor, teacher_ND: torch.Tensor, weights_N: torch.Tensor, head: Head,
    loss: Loss,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Return each divergence (N,) from the whole logits, and their gradient (N, D)."""
    student_ND = student_ND.detach().requires_grad_()
    values_N = loss(head.logits(student_ND), head.logits(teacher_ND))
    (grad_ND,) = torch.autograd.grad((values_N * weights_N).sum(), student_ND)
    return values_N.detach(), grad_ND


def chunked(
    student_ND: torch.Tensor, teacher_ND: torch.Tensor, weights_N: torch.Tensor, head: Head,
    loss: Loss,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    student_ND = student_ND.detach().requires_grad_()
    total, values_N = weighted_sum(student_ND, teacher_ND, weights_N, head, loss)
    (grad_ND,) = torch.autograd.grad(total, student_ND)
    torch.testing.assert_close(total.detach(), (values_N * weights_N).sum())
    return values_N, grad_ND


def assert_same(
    ours: tuple[torch.Tensor, torch.Tensor], theirs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-6, rtol=2e-6)
    assert (ours[1] - theirs[1]).norm() <= 1e-5 * theirs[1].norm()


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("kind", KINDS)
def test_any_chunk_gives_the_plain_value_and_gradient(
    kind: str, temperature: float, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "CPU_CHUNK_ROWS", rows)
    student_ND, teacher_ND, weights_N, weight_VD, _ = given()
    case = (student_ND, teacher_ND, weights_N, Head(weight_VD), Divergence(kind, temperature, 0.3))
    assert_same(chunked(*case), plain(*case))


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_makes_of_the_product_is_in_value_and_gradient(
    kind: str, has_bias: bool, scale: float, softcap: float | None
) -> None:
    student_ND, teacher_ND, weights_N, weight_VD, bias_V = given()
    head = Head(weight_VD, bias_V if has_bias else None, scale, softcap)
    case = (student_ND, teacher_ND, weights_N, head, Divergence(kind, 1.5, 0.3))
    assert_same(chunked(*case), plain(*case))


def test_any_other_loss_goes_through_autograd() -> None:
    def squared(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
        return (student_NV - teacher_NV).square().mean(-1)

    student_ND, teacher_ND, weights_N, weight_VD, bias_V = given()
    case = (student_ND, teacher_ND, weights_N, Head(weight_VD, bias_V, 0.5, 9.0), squared)
    assert_same(chunked(*case), plain(*case))


@pytest.mark.parametrize("shift", [-300.0, 300.0])
@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_logits_far_from_zero_neither_overflow_nor_vanish(kind: str, shift: float) -> None:
    student_ND, teacher_ND, weights_N, weight_VD, bias_V = given()
    loss = Divergence(kind)
    near = chunked(student_ND, teacher_ND, weights_N, Head(weight_VD, bias_V), loss)
    far = chunked(student_ND, teacher_ND, weights_N, Head(weight_VD, bias_V + shift), loss)
    torch.testing.assert_close(far[0], near[0], atol=1e-3, rtol=1e-3)
    assert (far[1] - near[1]).norm() <= 1e-3 * near[1].norm()


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_a_maximum_that_grows_from_block_to_block_is_followed(kind: str) -> None:
    student_ND, teacher_ND, weights_N, weight_VD, _ = given()
    case = (student_ND, teacher_ND, weights_N, Head(weight_VD, torch.linspace(-90, 90, V)))
    wide = torch.float64
    exact = plain(*[*(x.to(wide) for x in case[:3]), _in(case[3], wide), _in_fp64(kind)])
    ours = chunked(*case, Divergence(kind))
    torch.testing.assert_close(ours[0], exact[0].float(), atol=1e-5, rtol=1e-5)
    assert (ours[1] - exact[1]).norm() <= 1e-4 * exact[1].norm()


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
@pytest.mark.parametrize("noise", [0.3, 0.02])
def test_bf16_is_within_one_per_cent_of_fp64(kind: str, noise: float) -> None:
    draw = torch.Generator().manual_seed(3)
    weight = torch.randn(4096, 64, generator=draw).bfloat16()
    student = torch.randn(64, 64, generator=draw)
    teacher = (student + noise * torch.randn(64, 64, generator=draw)).bfloat16()
    case = (student.bfloat16(), teacher, torch.ones(64))
    wide = tuple(x.double() for x in case)
    exact = plain(*[*wide, Head(weight.double()), _in_fp64(kind)])
    ours = chunked(*case, Head(weight), Divergence(kind))
    assert ours[1].dtype == torch.bfloat16
    torch.testing.assert_close(ours[0].double(), exact[0], atol=1e-6, rtol=0.01)
    assert (ours[0].sum() - exact[0].sum()).abs() < 1e-3 * exact[0].sum()
    assert (ours[1] - exact[1]).norm() < 0.01 * exact[1].norm()


def test_a_teacher_of_another_precision_is_taken_as_it_is() -> None:
    student_ND, teacher_ND, weights_N, weight_VD, _ = given()
    half = teacher_ND.bfloat16()
    ours = chunked(student_ND, half, weights_N, Head(weight_VD), Divergence())
    assert_same(ours, plain(student_ND, half.float(), weights_N, Head(weight_VD), Divergence()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_zero_takes_a_position_out(kind: str) -> None:
    student_ND, teacher_ND, weights_N, weight_VD, _ = given()
    weights_N[::2] = 0.0
    _, grad_ND = chunked(student_ND, teacher_ND, weights_N, Head(weight_VD), Divergence(kind))
    assert not grad_ND[::2].any()
    assert grad_ND[1::2].any(dim=-1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_hidden_states_give_zero(kind: str) -> None:
    student_ND, _, weights_N, weight_VD, _ = given()
    values_N, grad_ND = chunked(
        student_ND, student_ND, weights_N, Head(weight_VD), Divergence(kind)
    )
    assert values_N.abs().max() < 1e-6
    assert grad_ND.abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_no_position_is_no_divergence(kind: str) -> None:
    head = Head(given()[3])
    none_ND = torch.zeros(0, D, requires_grad=True)
    total, values_N = weighted_sum(none_ND, torch.zeros(0, D), torch.zeros(0), head, Divergence())
    total.backward()
    assert total.item() == 0.0
    assert values_N.shape == (0,)
    assert none_ND.grad is not None
    assert [len(x) for x in compare(none_ND, none_ND, head, Divergence(kind))] == [0, 0]


def test_a_gradient_is_multiplied_by_what_comes_back() -> None:
    student_ND, teacher_ND, weights_N, weight_VD, _ = given()
    case = (student_ND, teacher_ND, weights_N, Head(weight_VD), Divergence())
    student_ND.requires_grad_()
    (3.0 * weighted_sum(*case)[0]).backward()
    torch.testing.assert_close(student_ND.grad, 3.0 * plain(*case)[1])


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("kind", KINDS)
def test_comparing_gives_the_values_and_equal_first_choices(
    kind: str, softcap: float | None
) -> None:
    student_ND, teacher_ND, _, weight_VD, _ = given()
    head, loss = Head(weight_VD, softcap=softcap), Divergence(kind)
    values_N, agreed_N = compare(student_ND, teacher_ND, head, loss)
    student_NV, teacher_NV = head.logits(student_ND), head.logits(teacher_ND)
    expected_N = student_NV.argmax(-1) == teacher_NV.argmax(-1)
    assert 0 < expected_N.sum() < N
    assert agreed_N.equal(expected_N)
    torch.testing.assert_close(values_N, loss(student_NV, teacher_NV), atol=1e-6, rtol=2e-6)


class Sizes(TorchDispatchMode):
    """Records the number of elements of every tensor that an operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.largest, self.products = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        self.products += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm_)
        return out


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_logits_than_the_budget_allows_exist_at_any_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 200
    monkeypatch.setattr(fused, "CHUNK_BYTES", 20 * V * 4)
    student_ND, teacher_ND = torch.randn(size, D, requires_grad=True), torch.randn(size, D)
    head = Head(torch.randn(V, D))
    with Sizes() as seen:
        total, _ = weighted_sum(student_ND, teacher_ND, torch.ones(size), head, Divergence(kind))
        total.backward()
    assert V * D <= seen.largest <= V * D + 20 * V
    with Sizes() as seen:
        compare(student_ND.detach(), teacher_ND, head, Divergence(kind))
    assert seen.largest <= V * D + 20 * V


def test_the_budget_sets_the_rows_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    head = Head(torch.zeros(1000, 1))
    monkeypatch.setattr(fused, "CHUNK_BYTES", 10 * 2 * 1000 * 4)
    assert fused._rows(head, 2, 100) == 10
    assert fused._rows(head, 2, 11) == 6
    assert fused._rows(head, 2, 3) == 3
    monkeypatch.setattr(fused, "CHUNK_BYTES", 1)
    assert fused._rows(head, 2, 100) == 1


def test_nothing_is_kept_and_no_gradient_made_where_none_is_asked() -> None:
    student_ND, teacher_ND, weights_N, weight_VD, _ = given()
    case = (student_ND, teacher_ND, weights_N, Head(weight_VD), Divergence())
    with Sizes() as with_none:
        total, values_N = weighted_sum(*case)
    assert not total.requires_grad
    torch.testing.assert_close(values_N, plain(*case)[0], atol=1e-6, rtol=2e-6)
    student_ND.requires_grad_()
    with Sizes() as with_gradient:
        total, values_N = weighted_sum(*case)
    assert total.requires_grad
    assert not values_N.requires_grad
    assert with_gradient.products == 2 * with_none.products


def test_a_block_of_the_vocabulary_fits_the_cache() -> None:
    spans = blocks.Blocks(Head(torch.zeros(5000, 1)), 128, temperature=1.0, kept=0).spans
    assert [stop - start for start, stop in spans] == [1024, 1024, 1024, 1024, 904]
    assert spans[0][0] == 0
    assert spans[-1][1] == 5000


# The products of bf16 that only GPUs take: there is nothing of it to run on a CPU.
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gives_what_a_cpu_gives_in_bf16(kind: str) -> None:
    student_ND, teacher_ND, weights_N, weight_VD, bias_V = given()
    here = (student_ND.bfloat16(), teacher_ND.bfloat16(), weights_N)
    expected = chunked(*here, Head(weight_VD.bfloat16(), bias_V.bfloat16()), Divergence(kind))
    head = Head(weight_VD.bfloat16().cuda(), bias_V.bfloat16().cuda())
    ours = chunked(*[*(x.cuda() for x in here), head, Divergence(kind)])
    torch.testing.assert_close(ours[0].cpu(), expected[0], atol=1e-5, rtol=1e-4)
    assert (ours[1].cpu() - expected[1]).norm() <= 0.01 * expected[1].norm()


def _in(head: Head, dtype: torch.dtype) -> Head:
    bias = None if head.bias is None else head.bias.to(dtype)
    return Head(head.weight.to(dtype), bias, head.scale, head.softcap)


def _in_fp64(kind: str) -> Loss:
    """Return the definition of a divergence, in the dtype of its logits."""

    def definition(student_NV: torch.Tensor, teacher_NV: torch.Tensor) -> torch.Tensor:
        log_q_NV, log_p_NV = student_NV.log_softmax(-1), teacher_NV.log_softmax(-1)
        q_NV, p_NV = log_q_NV.exp(), log_p_NV.exp()
        if kind == "forward_kl":
            return (p_NV * (log_p_NV - log_q_NV)).sum(-1)
        if kind == "reverse_kl":
            return (q_NV * (log_q_NV - log_p_NV)).sum(-1)
        log_m_NV = (0.5 * p_NV + 0.5 * q_NV).clamp_min(1e-300).log()
        return 0.5 * (p_NV * (log_p_NV - log_m_NV) + q_NV * (log_q_NV - log_m_NV)).sum(-1)

    return definition


def test_the_definition_above_is_the_plain_loss() -> None:
    student_ND, teacher_ND, _, weight_VD, _ = given()
    head = Head(weight_VD)
    logits = head.logits(student_ND), head.logits(teacher_ND)
    torch.testing.assert_close(_in_fp64("forward_kl")(*logits), forward_kl(*logits))
