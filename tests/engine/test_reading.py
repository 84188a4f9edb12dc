"""The last layer leaves out what nobody reads, and nothing that somebody does."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from bakery.engine.packed.layouts import KeysValues, Packed, Segment
from bakery.engine.packed.prefixes import prefill
from bakery.engine.packed.support import support_of
from tests.support.zoo import random_model

PICKING = {
    "qwen3", "llama", "mistral", "gemma2", "gemma3", "gpt2", "mixtral", "qwen3_moe", "cohere",
    "granite", "olmo2", "gpt_neox",
}  # fmt: skip
IDS = torch.tensor([[5, 9, 3, 7, 11, 2, 30, 8, 8, 21, 4, 6]])
TOLD = {"input_ids": IDS, "position_ids": torch.arange(12)[None]}
READ = torch.tensor([4, 9, 11])


@pytest.mark.parametrize("name", sorted(PICKING))
def test_what_is_read_and_its_gradient_stay_the_same(name: str) -> None:
    model = random_model(name)
    support = support_of(model)
    assert support.last is not None
    found = []
    for read in (None, READ):
        model.zero_grad()
        layout = Packed([(None, [Segment(12)])], kernel="explicit", read=read)
        with support.running(layout) as told:
            logits = model(**TOLD, **told, use_cache=False).logits[0, READ]
            logits.square().sum().backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found.append((logits.detach(), grads))
    (whole, whole_grads), (picked, picked_grads) = found
    assert torch.allclose(picked, whole, atol=1e-4)
    assert len(picked_grads) == len(whole_grads)
    for ours, theirs in zip(picked_grads, whole_grads, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_the_block_gets_only_the_columns_that_are_read() -> None:
    model = random_model("llama")
    support = support_of(model)
    sizes: list[int] = []
    first, last = model.model.layers
    for layer in (first, last):
        layer.mlp.gate_proj.register_forward_hook(
            lambda _, given, __: sizes.append(given[0].shape[1])
        )
    support.forward(model, Packed([(None, [Segment(12)])], read=READ), **TOLD)
    assert sizes == [12, 3]
    assert "forward" not in vars(last.mlp)
    assert not last._forward_pre_hooks


@pytest.mark.parametrize("name", sorted(PICKING))
def test_a_prefix_is_kept_without_the_end_of_its_last_layer(name: str) -> None:
    model = random_model(name)
    support = support_of(model)
    whole: dict[int, KeysValues] = {}
    with torch.no_grad():
        support.forward(model, Packed([(None, [Segment(12)])], kept=whole), **TOLD)
    ended: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda *_: ended.append(1))
    kept = prefill(model, support, IDS[0].tolist()).layers
    assert kept.keys() == whole.keys()
    for layer, pair in kept.items():
        assert all(
            torch.equal(ours, theirs) for ours, theirs in zip(pair, whole[layer], strict=True)
        )
    assert ended == []


def test_what_was_found_out_about_a_model_does_not_keep_it_alive() -> None:
    model = random_model("llama")
    found = support_of(model)
    assert found.last is not None
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    with found.last.reading():
        pass


def test_a_block_that_returns_more_than_one_thing_stays_whole() -> None:
    support = support_of(random_model("gpt_oss"))
    assert support.refused is None
    assert support.last is None
