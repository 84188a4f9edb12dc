"""Batches change nothing; every number comes from the request's key."""

from __future__ import annotations

import pytest
import torch

from bakery.engine.sampling import sampling
from bakery.engine.sampling.sampling import Sample, SampleRequest
from bakery.identity import SamplingSettings
from tests.support.baking import Bench

PREFIXES = [tuple(range(10, 10 + n)) for n in (3, 9, 5, 7, 4, 6)]
REQUESTS = [SampleRequest(f"k{i}", prefix) for i, prefix in enumerate(PREFIXES)]


def draw(
    bench: Bench, requests: list[SampleRequest], settings: SamplingSettings
) -> dict[str, Sample]:
    base = bench.base()
    batches = sampling.sample(base.model, requests, settings, end_ids=base.chat.end_ids, pad_id=0)
    return {s.key: s for batch in batches for s in batch}


def test_batch_size_and_order_change_no_sample(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SamplingSettings(1, 12)
    together = draw(bench, REQUESTS, settings)
    monkeypatch.setattr(sampling, "MAX_ROWS", 1)
    assert draw(bench, REQUESTS[::-1], settings) == together


def test_greedy_samples_are_those_of_transformers(bench: Bench) -> None:
    base = bench.base()
    ours = draw(bench, REQUESTS, SamplingSettings(1, 10, temperature=0))
    for request in REQUESTS:
        ids = torch.tensor([request.prefix_ids])
        theirs = base.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False
        )
        assert list(ours[request.key].ids) == theirs[0, ids.shape[1] :].tolist()


def test_other_keys_give_other_samples(bench: Bench) -> None:
    twice = [SampleRequest("a", PREFIXES[0]), SampleRequest("b", PREFIXES[0])]
    drawn = draw(bench, twice, SamplingSettings(1, 12))
    assert drawn["a"].ids != drawn["b"].ids


def test_top_k_one_is_greedy(bench: Bench) -> None:
    greedy = draw(bench, REQUESTS, SamplingSettings(1, 8, temperature=0))
    assert draw(bench, REQUESTS, SamplingSettings(1, 8, top_k=1)) == greedy


def test_a_large_min_p_is_greedy(bench: Bench) -> None:
    greedy = draw(bench, REQUESTS, SamplingSettings(1, 8, temperature=0))
    assert draw(bench, REQUESTS, SamplingSettings(1, 8, min_p=1.0)) == greedy


def test_min_p_leaves_out_what_is_much_less_likely_than_the_likeliest(bench: Bench) -> None:
    base = bench.base()
    with torch.no_grad():
        likely = base.model(torch.tensor([PREFIXES[0]])).logits[0, -1].softmax(-1)
    kept = set(torch.nonzero(likely >= 0.5 * likely.max()).flatten().tolist())
    requests = [SampleRequest(f"n{i}", PREFIXES[0]) for i in range(300)]
    drawn = draw(bench, requests, SamplingSettings(1, 1, min_p=0.5))
    assert {s.ids[0] for s in drawn.values()} <= kept
    free = draw(bench, requests, SamplingSettings(1, 1))
    assert not {s.ids[0] for s in free.values()} <= kept


def test_a_penalty_on_repetition_reads_the_prompt_and_the_answer(bench: Bench) -> None:
    drawn = draw(bench, REQUESTS, SamplingSettings(1, 20, temperature=0, repetition_penalty=1e9))
    for request in REQUESTS:
        ids = drawn[request.key].ids
        assert len(set(ids)) == len(ids)
        assert not set(ids) & set(request.prefix_ids)


def test_a_row_ends_at_the_first_end_of_turn(bench: Bench) -> None:
    base = bench.base()
    ends = frozenset(range(0, 259, 3))  # so many ends that rows leave at different lengths
    batches = sampling.sample(base.model, REQUESTS, SamplingSettings(1, 12), end_ids=ends, pad_id=0)
    for drawn in (s for batch in batches for s in batch):
        assert all(token not in ends for token in drawn.ids[:-1])
        assert (drawn.ids[-1] in ends) == (drawn.finish == "stop")
        assert drawn.finish == "stop" or len(drawn.ids) == 12


def test_samples_follow_the_models_distribution(bench: Bench) -> None:
    base = bench.base()
    requests = [SampleRequest(f"n{i}", PREFIXES[0]) for i in range(3000)]
    drawn = draw(bench, requests, SamplingSettings(1, 1))
    counts = torch.zeros(259)
    for s in drawn.values():
        counts[s.ids[0]] += 1
    with torch.no_grad():
        expected = base.model(torch.tensor([PREFIXES[0]])).logits[0, -1].softmax(-1)
    assert (counts / 3000 - expected).abs().max() < 0.03
