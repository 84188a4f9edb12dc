"""Packed, shared and decoded: what a model says is what it would say of each row alone."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM

from bakery.engine.loss.readout import Readout
from bakery.engine.packed import attention
from bakery.engine.packed.support import support_of
from bakery.engine.sampling.sampling import SampleRequest, sample
from bakery.engine.teacher.scoring import features_of
from bakery.engine.text.views import View
from bakery.identity import SamplingSettings
from tests.support.zoo import ZOO, random_model

REFUSED = {"bloom", "falcon_h1", "qwen3_next", "llama4", "mamba"}
PREFIX = tuple(3 + i * 5 % 59 for i in range(40))


def views_of_all_kinds() -> list[View]:
    """Answers behind a long prefix, several to a prompt, of every length; one with two spans."""
    views = []
    for prompt, lengths in enumerate([(9, 4, 1), (3,), (12, 12)]):
        asked = tuple(5 + (prompt * 7 + i * 3) % 50 for i in range(4 + prompt))
        for answer, length in enumerate(lengths):
            said = tuple(4 + (answer * 11 + i * 7 + prompt) % 55 for i in range(length))
            start = len(PREFIX) + len(asked)
            views.append(View((*PREFIX, *asked, *said), ((start, start + length),)))
    first = views[0]
    views.append(View(first.ids, ((44, 46), (49, 53))))
    return views


def alone(model: torch.nn.Module, view: View) -> torch.Tensor:
    ids = torch.tensor([view.ids])
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits[0, view.predicting]


@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_architecture_runs_packed_or_is_refused(name: str) -> None:
    assert (support_of(random_model(name)).refused is not None) == (name in REFUSED)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_scoring_many_views_is_scoring_each_alone(name: str) -> None:
    model = random_model(name)
    readout, views = Readout(model), views_of_all_kinds()
    seen = []
    for at, features in features_of(model, readout, views):
        found = readout.logits(features)
        expected = torch.cat([alone(model, views[i]) for i in at])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        seen += at
    assert sorted(seen) == list(range(len(views)))


@pytest.mark.parametrize("name", sorted(ZOO))
def test_batched_greedy_answers_are_those_of_each_prompt_alone(name: str) -> None:
    model = random_model(name)
    prompts = [view.ids[: view.spans[0][0]] for view in views_of_all_kinds()]
    settings = SamplingSettings(1, 9, temperature=0)
    requests = [SampleRequest(str(i), prompt) for i, prompt in enumerate(prompts)]
    batches = sample(model, requests, settings, end_ids=frozenset({2, 7, 11}), pad_id=0)
    found = {s.key: s.ids for batch in batches for s in batch}
    for i, prompt in enumerate(prompts):
        assert found[str(i)] == greedy(model, prompt, 9, {2, 7, 11})


def greedy(
    model: torch.nn.Module, prompt: tuple[int, ...], count: int, ends: set[int]
) -> tuple[int, ...]:
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(
                int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            )
            if ids[-1] in ends:
                break
    return tuple(ids[len(prompt) :])


def test_attention_that_was_asked_for_stays() -> None:
    model = random_model("qwen3")
    model.set_attn_implementation("flex_attention")
    assert support_of(model).refused == "its attention is flex_attention, as it was loaded"


def test_rotary_embeddings_that_depend_on_the_batch_are_not_packed() -> None:
    config = ZOO["llama"]()
    config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    model = AutoModelForCausalLM.from_config(config)
    assert "longest row of a batch" in str(support_of(model).refused)


def test_windows_that_only_masks_know_are_not_packed() -> None:
    model = random_model("mistral")
    model.config.sliding_window = 100  # the probe is shorter: it cannot see a window
    assert support_of(model).refused is None
    silent = random_model("mistral")
    silent.config.sliding_window = 100
    for layer in silent.model.layers:
        layer.self_attn.config = copy.deepcopy(silent.config)
        layer.self_attn.config.sliding_window = None
    assert support_of(silent).refused == "0 of 2 sliding layers say how wide their window is"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_attention_to_many_keys_stays_in_the_range_of_its_numbers(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 3, 8).to(dtype), 0.01 * torch.randn(1, 40_000, 8).to(dtype)
    v = torch.full((1, 40_000, 8), 3.0).to(dtype)
    found = attention.merged([attention.part(q, k, v, attention.Rule(scale=0.3))])
    torch.testing.assert_close(found, torch.full_like(found, 3.0), rtol=0.01, atol=0)
