"""Selected positions only, never another model's logits, and the same divergence either way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import Divergence, forward_kl
from bakery.engine.loss.readout import Readout
from bakery.engine.teacher.teacher import teaching
from tests.support.zoo import random_model

EXACT = {
    "qwen3": (1.0, None),
    "llama": (1.0, None),
    "gemma2": (1.0, 5.0),
    "gemma3": (1.0, None),
    "gpt2": (1.0, None),
    "mixtral": (1.0, None),
    "cohere": (0.25, None),
    "granite": (0.25, None),
    "falcon_h1": (0.5, None),
}
LEARNT = ("qwen3", "llama", "gemma2", "gemma3", "gpt2", "mixtral", "cohere", "granite")
ROWS, COLS = torch.tensor([0, 1, 2, 2, 2]), torch.tensor([6, 3, 0, 5, 1])


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(3, 64, (3, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def student_of(name: str, **more: Any) -> PeftModel:
    """Put a LoRA that already says something else on a model of the zoo."""
    base = random_model(name)
    chosen: dict[str, Any] = {"target_modules": ["q_proj", "o_proj"], **more}
    if name == "gpt2":
        chosen = {"target_modules": ["c_attn"], "fan_in_fan_out": True, **more}
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **chosen)).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in trained(model).values():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.3)
    return model


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def features(readout: Readout, model: PeftModel) -> torch.Tensor:
    with torch.no_grad():
        return readout.features(model, batch(), ROWS, COLS)


def taught(readout: Readout, model: PeftModel) -> torch.Tensor:
    with teaching(model):
        return features(readout, model)


def plain(model: PeftModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return model(**inputs).logits[ROWS, COLS]


@pytest.mark.parametrize("name", sorted(EXACT))
def test_selected_logits_are_the_models_own(name: str) -> None:
    model = random_model(name).requires_grad_(False)
    readout = Readout(model)
    ours = readout.logits(features(readout, model))
    torch.testing.assert_close(ours, plain(model, batch()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "expected"), sorted(EXACT.items()))
def test_the_probe_finds_what_the_model_makes_of_its_heads_product(
    name: str, expected: tuple[float, float | None]
) -> None:
    readout = Readout(random_model(name).requires_grad_(False))
    head = readout.head
    assert (readout.exact, readout.how) == (True, "fused")
    assert (head.scale, head.softcap) == expected


def test_a_scale_that_a_configuration_names_but_the_model_ignores_is_not_applied() -> None:
    model = random_model("llama").requires_grad_(False)
    model.config.logits_scaling, model.config.final_logit_softcapping = 8.0, 30.0
    head = Readout(model).head
    assert (head.scale, head.softcap) == (1.0, None)


def test_a_head_whose_output_is_changed_in_an_unknown_way_is_not_exact() -> None:
    model = random_model("gemma2").requires_grad_(False)
    model.config.final_logit_softcapping = 5.0

    def changed(module: Any, given: Any, output: Any) -> Any:
        output.logits = output.logits.abs()
        return output

    model.register_forward_hook(changed)
    readout = Readout(model)
    assert (readout.exact, readout.how) == (False, "logits")
    assert features(readout, model).equal(plain(model, batch()))


@pytest.mark.parametrize("name", LEARNT)
@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd", "topk"])
def test_the_fused_divergence_is_the_plain_one_in_value_and_lora_gradient(
    name: str, kind: str
) -> None:
    model, loss = student_of(name), Divergence(kind, temperature=1.5, k=5)
    readout = Readout(model)
    weights_N = torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0])
    with teaching(model), torch.no_grad():
        teacher_NV = plain(model, batch())
    values_N = loss(plain(model, batch()), teacher_NV)
    expected = torch.autograd.grad((values_N * weights_N).sum(), list(trained(model).values()))

    teacher = taught(readout, model)
    total, found_N = readout.divergence(model, batch(), ROWS, COLS, teacher, weights_N, loss)
    total.backward()

    assert readout.how == "fused"
    assert values_N.max() > 1e-4
    torch.testing.assert_close(found_N, values_N.detach(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(total, (values_N * weights_N).sum(), atol=1e-6, rtol=1e-5)
    for gradient, (at, weight) in zip(expected, trained(model).items(), strict=True):
        assert weight.grad is not None, at
        assert (weight.grad - gradient).norm() <= 1e-4 * gradient.norm() + 1e-8, at


def test_a_divergence_leaves_the_head_in_place() -> None:
    model = student_of("qwen3")
    readout = Readout(model)
    teacher = taught(readout, model)
    readout.divergence(model, batch(), ROWS, COLS, teacher, torch.ones(5), Divergence())
    assert model(**batch()).logits.shape == (3, 7, 64)


def test_the_gradient_comes_back_through_the_models_own_output() -> None:
    model = student_of("cohere")
    readout, seen = Readout(model), []
    teacher = taught(readout, model)

    def watch(module: Any, given: Any, output: Any) -> None:
        output.logits.register_hook(seen.append)

    model.register_forward_hook(watch)
    total, _ = readout.divergence(model, batch(), ROWS, COLS, teacher, torch.ones(5), Divergence())
    total.backward()
    assert len(seen) == 1


def test_no_target_gives_zero_and_a_gradient_of_zeros() -> None:
    model = student_of("qwen3")
    readout = Readout(model)
    none = torch.zeros(0, dtype=torch.long)
    total, values_N = readout.divergence(
        model, batch(), none, none, torch.zeros(0, 32), torch.zeros(0), Divergence()
    )
    total.backward()
    assert (total.item(), len(values_N)) == (0.0, 0)
    assert all(p.grad is not None and not p.grad.any() for p in trained(model).values())


@pytest.mark.parametrize(
    "more",
    [
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj"], "trainable_token_indices": {"lm_head": [3, 4]}},
    ],
    ids=["lora", "modules_to_save", "tokens"],
)
def test_a_trained_head_is_not_the_teachers(more: dict[str, Any]) -> None:
    base = plain(random_model("qwen3"), batch()).detach()
    model = student_of("qwen3", **more)
    readout = Readout(model)
    assert readout.how == "logits"
    recorded = taught(readout, model)
    torch.testing.assert_close(readout.logits(recorded), base, atol=1e-5, rtol=1e-5)

    head = {name: p for name, p in trained(model).items() if "lm_head" in name}
    with torch.no_grad():
        for weight in head.values():
            weight.add_(0.1)
    assert (features(readout, model) - base).abs().max() > 0.01
    torch.testing.assert_close(taught(readout, model), base, atol=1e-5, rtol=1e-5)

    total, values_N = readout.divergence(
        model, batch(), ROWS, COLS, recorded, torch.ones(5), Divergence()
    )
    total.backward()
    torch.testing.assert_close(values_N, forward_kl(plain(model, batch()), base).detach())
    assert any(p.grad is not None and p.grad.any() for p in head.values())


def test_a_tied_head_that_is_trained_with_the_embedding_is_not_the_teachers() -> None:
    model = random_model("gpt2").requires_grad_(False)
    assert Readout(model).exact
    model.get_input_embeddings().weight.requires_grad_(True)
    assert not Readout(model).exact


@pytest.mark.parametrize("more", [{}, {"target_modules": ["q_proj", "lm_head"]}])
def test_comparing_gives_the_divergence_and_the_agreement_of_each_position(
    more: dict[str, Any],
) -> None:
    model = student_of("qwen3", **more)
    readout = Readout(model)
    ours, teacher = features(readout, model), taught(readout, model)
    values_N, agreed_N = readout.compare(ours, teacher, Divergence())
    student_NV, teacher_NV = readout.logits(ours), readout.logits(teacher)
    torch.testing.assert_close(values_N, forward_kl(student_NV, teacher_NV), atol=1e-6, rtol=1e-5)
    assert agreed_N.equal(student_NV.argmax(-1) == teacher_NV.argmax(-1))


def test_features_carry_gradients() -> None:
    model = student_of("qwen3")
    readout = Readout(model)
    readout.logits(readout.features(model, batch(), ROWS, COLS)).sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in trained(model).values())


def test_a_head_caps_after_it_scales() -> None:
    head = Head(torch.eye(3), torch.tensor([0.0, 1.0, 0.0]), scale=2.0, softcap=4.0)
    expected = torch.tanh(torch.tensor([2.0, 2.0, 6.0]) / 4.0) * 4.0
    torch.testing.assert_close(head.logits(torch.tensor([1.0, 0.0, 3.0])), expected)
