"""Rows of many models in one batch say what each would say alone."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
import torch

from bakery.engine.models.adapters import attach_parent
from bakery.engine.sampling.sampling import SampleRequest
from bakery.engine.serving import mixing
from bakery.engine.serving.asking import Ask, Echo, Mix, Token
from bakery.engine.serving.batch import Batch
from bakery.engine.serving.slices import Shelf
from bakery.errors import BakeryError, ModelError
from bakery.identity import SamplingSettings
from tests.support.served import MODELS, finished, mix, opened

GREEDY = SamplingSettings(1, 12, temperature=0)
DRAWN = SamplingSettings(1, 12)
NARROW = SamplingSettings(1, 9, temperature=0.7, top_p=0.8, top_k=20, min_p=0.01)
PENALTY = SamplingSettings(1, 12, repetition_penalty=1.3, frequency_penalty=0.2)


@pytest.fixture(params=[math.inf, 0.0], ids=["in one product", "by lineage"], autouse=True)
def spared(request, monkeypatch):
    """Ranks of all models in one product, and those of each lineage by themselves."""
    monkeypatch.setattr(mixing, "SPARED", request.param)


def said(tokens: Sequence[Token]) -> tuple[tuple[int, ...], str | None]:
    return tuple(t.id for t in tokens), tokens[-1].finish


def prompt(seed: int) -> tuple[int, ...]:
    draw = random.Random(seed)
    return tuple(draw.randrange(3, 256) for _ in range(draw.randint(2, 20)))


def test_rows_of_all_models_say_what_each_says_alone(served):
    shelf, batch = opened(served)
    asked = {}
    hows = [GREEDY, DRAWN, NARROW, PENALTY]
    for i, (name, strength) in enumerate(MODELS):
        for k in range(2):
            key, how = f"{i}/{k}", hows[(i + k) % 4]
            asked[key] = (name, strength), SampleRequest(key, prompt(i % 3)), how
            batch.join(Ask(key, prompt(i % 3), how, mix(shelf, served, name, strength)))
    found = finished(batch)
    for key, (model, request, how) in asked.items():
        due = served.alone(model, request, how)
        assert said(found[key]) == (due.ids, due.finish), key


def test_the_models_of_these_tests_disagree(served):
    shelf, batch = opened(served)
    for i, (name, strength) in enumerate(MODELS):
        for k in range(3):
            batch.join(
                Ask(f"{i}/{k}", prompt(k), DRAWN, mix(shelf, served, name, strength), "same")
            )
    found = finished(batch)
    every = [tuple(said(found[f"{i}/{k}"]) for k in range(3)) for i in range(len(MODELS))]
    # The third bake at strength 0 is the second.
    assert every[5] == every[3]
    assert len(set(every)) == len(MODELS) - 1


def test_rows_that_join_and_leave_midway_change_nobody(served):
    shelf, batch = opened(served, rows=6)
    asked, found, gone = {}, {}, {"3", "8"}
    draw = random.Random(5)

    def joins(count):
        for _ in range(count):
            key, model = f"{len(asked)}", MODELS[len(asked) % len(MODELS)]
            asked[key] = model, SampleRequest(key, prompt(draw.randrange(9)))
            batch.join(Ask(key, asked[key][1].prefix_ids, DRAWN, mix(shelf, served, *model)))

    joins(4)
    for step in range(60):
        for one in batch.step():
            found.setdefault(one.key, []).append(one)
        if step in (2, 3, 7, 13):
            joins(4)
        if step == 3:
            batch.leave("3")
            batch.leave("nobody")
        if step == 5:
            batch.leave("8")
    assert len(batch) == 0
    assert len(asked) == 20
    for key, (model, request) in asked.items():
        due = served.alone(model, request, DRAWN)
        if key in gone:
            ids = tuple(t.id for t in found.get(key, ()))
            assert ids == due.ids[: len(ids)] != due.ids
        else:
            assert said(found[key]) == (due.ids, due.finish), key


def test_base_rows_beside_others_are_the_base_bit_for_bit(served):
    shelf, batch = opened(served)
    found = []
    for beside in ([], ["third", "apart"]):
        batch.join(Ask("base", prompt(1), GREEDY, top=259))
        for name in beside:
            batch.join(Ask(name, prompt(1), GREEDY, mix(shelf, served, name), top=259))
        found.append(finished(batch)["base"])
    for one, other in zip(*found, strict=True):
        assert one.id == other.id
        before, after = dict(one.top), dict(other.top)
        assert max(abs(before[i] - after[i]) for i in before) < 1e-4


def test_log_probabilities_are_those_of_the_model_before_temperature(served):
    shelf, batch = opened(served)
    ids, how = prompt(2), SamplingSettings(1, 5, temperature=0.3, top_k=3)
    batch.join(Ask("row", ids, how, mix(shelf, served, "second"), top=4, echo=True))
    told: list = []
    tokens = finished(batch, told)["row"]
    (echo,) = [one for one in told if isinstance(one, Echo)]
    base = served.base()
    model = attach_parent(base.model, served.folders["second"])
    whole = (*ids, *(t.id for t in tokens))
    with torch.no_grad():
        due = model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
    found = [*echo.log_probs, *(t.log_prob for t in tokens)]
    assert found[0] is None
    at = torch.arange(len(whole) - 1)
    torch.testing.assert_close(
        torch.tensor(found[1:]), due[at, torch.tensor(whole[1:])], atol=1e-4, rtol=1e-4
    )
    for i, top in enumerate([*echo.tops, *(t.top for t in tokens)]):
        assert [token for token, _ in top] == (due[i - 1].topk(4).indices.tolist() if i else [])


def test_a_prompt_alone_is_looked_at_without_an_answer(served):
    _, batch = opened(served)
    batch.join(Ask("row", prompt(2), SamplingSettings(1, 0), top=0, echo=True))
    (echo,) = batch.step()
    assert (echo.finish, len(batch), len(echo.log_probs)) == ("length", 0, len(prompt(2)))


def test_a_row_says_only_what_it_may(served):
    shelf, batch = opened(served)
    even = torch.arange(259) % 2 == 0

    def allowed(so_far):
        return even if len(so_far) % 2 else ~even

    how = mix(shelf, served, "first")
    batch.join(Ask("bound", prompt(4), DRAWN, how, allowed=allowed))
    batch.join(Ask("free", prompt(4), DRAWN, how, allowed=lambda _: None))
    found = finished(batch)
    assert [t.id % 2 for t in found["bound"]] == [1, 0] * 6
    request = SampleRequest("free", prompt(4))
    assert said(found["free"])[0] == served.alone(("first", 1.0), request, DRAWN).ids


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (Ask("r", (), GREEDY), "empty"),
        (Ask("r", (5,) * 501, GREEDY), "room for 512 together"),
        (Ask("r", (5,), SamplingSettings(1, 0)), "max_tokens is 0"),
        (Ask("r", (5,), GREEDY, Mix((("unread", 1.0),))), "'unread'"),
        (Ask("there", (5,), GREEDY), "'there' already"),
        (Ask("r", (5, 259), GREEDY), "the model has 259"),
        (Ask("r", (-1,), GREEDY), "the model has 259"),
        (Ask("r", (5,), SamplingSettings(1, 9, temperature=-1)), "no token can be drawn"),
        (Ask("r", (5,), SamplingSettings(1, 9, top_p=-0.1)), "no token can be drawn"),
    ],
)
def test_what_can_never_have_a_place_is_refused(served, ask, why):
    _, batch = opened(served)
    batch.join(Ask("there", (5,), GREEDY))
    with pytest.raises(BakeryError, match=why):
        batch.join(ask)
    assert len(batch) == 1


def test_rows_of_other_lengths_come_after_a_long_one(served):
    shelf, batch = opened(served, rows=3)
    ids = {f"{n}": (9, 40, *range(60, 60 + n)) for n in (150, 3, 70, 1)}
    for key, row in ids.items():
        batch.join(Ask(key, row, DRAWN, mix(shelf, served, "second")))
        if key != "150":
            batch.step()
    found = finished(batch)
    batch.join(Ask("again", ids["3"], DRAWN, mix(shelf, served, "second"), "3"))
    assert said(finished(batch)["again"])[0][-3:] == said(found["3"])[0][-3:]
    for key, row in ids.items():
        due = served.alone(("second", 1.0), SampleRequest(key, row), DRAWN)
        assert said(found[key])[0][-3:] == due.ids[-3:]


def test_a_model_of_another_kind_is_refused_with_the_reason(served):
    base = served.base()
    base.model.config._attn_implementation = "flex_attention"
    with pytest.raises(ModelError, match="its attention is flex_attention"):
        Batch(base, Shelf(base, most_bytes=1), rows=1, cache_bytes=0)
