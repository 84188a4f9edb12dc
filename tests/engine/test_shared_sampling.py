"""Shared prefixes, batch sizes and order change how fast answers come, never the answers."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest
import torch

from bakery.engine import memory
from bakery.engine.loss.readout import Readout
from bakery.engine.packed import support
from bakery.engine.sampling import sampling
from bakery.engine.sampling.sampling import Captured, Sample, SampleRequest, sample
from bakery.engine.teacher.scoring import features_of
from bakery.engine.text.views import View
from bakery.identity import SamplingSettings
from tests.support.zoo import random_model

ENDS = frozenset({5, 23, 41})


def requests(seed: int) -> list[SampleRequest]:
    """Prompts of all lengths, some of them with a long beginning in common, some asked twice."""
    draw = random.Random(seed)
    families = [[draw.randrange(3, 64) for _ in range(length)] for length in (0, 3, 40, 70)]
    prompts = [
        (*draw.choice(families), *[draw.randrange(3, 64) for _ in range(draw.randint(1, 9))])
        for _ in range(10)
    ]
    return [SampleRequest(f"{i}/{k}", p) for i, p in enumerate(prompts) for k in range(1 + i % 3)]


def answers(
    model: torch.nn.Module, asked: Sequence[SampleRequest], settings: SamplingSettings
) -> dict[str, Sample]:
    batches = sample(model, asked, settings, end_ids=ENDS, pad_id=0)
    return {s.key: s for batch in batches for s in batch}


SETTINGS = {
    "greedy": SamplingSettings(1, 20, temperature=0),
    "plain": SamplingSettings(1, 20),
    "one token": SamplingSettings(1, 1),
    "narrow": SamplingSettings(1, 20, temperature=0.7, top_p=0.8, top_k=9, min_p=0.02),
    "penalty": SamplingSettings(1, 20, repetition_penalty=1.4),
}


@pytest.mark.parametrize("name", ["qwen3", "gemma2", "gpt2", "gpt_oss", "mixtral"])
@pytest.mark.parametrize("how", sorted(SETTINGS))
def test_a_shared_prefix_gives_the_answers_of_whole_prompts(
    name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = random_model(name), requests(3)
    found = answers(model, asked, SETTINGS[how])
    assert len(found) == len(asked)
    whole = dataclasses.replace(support.support_of(model), refused="to compare with")
    monkeypatch.setitem(support._found, model, whole)
    assert answers(model, asked, SETTINGS[how]) == found


@pytest.mark.parametrize("rows", [1, 3])
def test_batch_size_and_order_change_no_answer(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = random_model("qwen3"), requests(4)
    found = answers(model, asked, SETTINGS["plain"])
    monkeypatch.setattr(sampling, "MAX_ROWS", rows)
    assert answers(model, asked[::-1], SETTINGS["plain"]) == found


def test_a_batch_is_as_wide_as_its_longest_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("qwen3")
    room = 200
    monkeypatch.setattr(sampling, "cache_bytes", lambda _: room * memory.bytes_per_token(model))
    long = SampleRequest("long", tuple(range(3, 63)) * 2)
    asked = [long, *(SampleRequest(f"{i}", (i, 3)) for i in range(4, 20))]
    settings = SamplingSettings(1, 10)
    batches = list(sampling._shared_batches(model, asked, settings.max_tokens))
    rows = [[r for _, rs in batch for r in rs] for batch in batches]
    assert sorted(r.key for batch in rows for r in batch) == sorted(r.key for r in asked)
    for batch in rows:
        assert len(batch) * (max(len(r.prefix_ids) for r in batch) + 10) <= room
    assert max(map(len, rows)) > 10


def test_answers_end_at_different_lengths() -> None:
    found = answers(random_model("qwen3"), requests(5), SETTINGS["plain"])
    assert len({len(s.ids) for s in found.values()}) > 3
    assert {s.finish for s in found.values()} == {"stop", "length"}


def test_a_penalty_on_repetition_changes_what_is_said() -> None:
    model, asked = random_model("qwen3"), requests(6)
    plain, penalised = (answers(model, asked, SETTINGS[how]) for how in ("plain", "penalty"))
    assert plain != penalised


@pytest.mark.parametrize("name", ["qwen3", "gemma2", "gpt2", "cohere"])
def test_what_the_head_read_while_answering_is_what_it_reads_of_the_answers(name: str) -> None:
    model, asked = random_model(name).requires_grad_(False), requests(7)
    readout = Readout(model)
    captured = Captured(readout)
    batches = sample(model, asked, SETTINGS["plain"], end_ids=ENDS, pad_id=0, captured=captured)
    found = {s.key: s.ids for batch in batches for s in batch}
    assert found == {k: s.ids for k, s in answers(model, asked, SETTINGS["plain"]).items()}
    for request in asked:
        start, ids = len(request.prefix_ids), found[request.key]
        view = View((*request.prefix_ids, *ids), ((start, start + len(ids)),))
        read = captured.features(request.key, view.predicting)
        ((_, scored),) = features_of(model, readout, [view])
        torch.testing.assert_close(
            readout.logits(read), readout.logits(scored), atol=1e-4, rtol=1e-4
        )
    assert captured.features("unknown", [1]) is None


def test_only_what_fits_the_memory_is_kept() -> None:
    readout = Readout(random_model("qwen3").requires_grad_(False))
    assert Captured.fits(readout, 1000, SamplingSettings(1, 64))
    assert not Captured.fits(readout, 10**9, SamplingSettings(1, 64))
    assert not Captured.fits(Readout(random_model("qwen3")), 1, SamplingSettings(1, 64))
