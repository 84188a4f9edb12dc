"""What of a prompt is asked, and how much of each of its sentences was learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bakery.backends.local import LocalModel
from bakery.card import Card
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.evals import asked, coverage
from bakery.evals.coverage import Dependence
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from bakery.stages import bake, covering
from bakery.stages.mix import mix
from bakery.ui.covered import rows
from bakery.ui.report.figures import share
from bakery.verdict import Covered
from tests.support.baking import NOTHING, SHOUT, Bench


def test_a_bake_says_what_hangs_on_each_sentence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "MOVED", 0.0)  # a random model is moved by little
    monkeypatch.setattr(coverage, "TOUCHED", 0.0)
    monkeypatch.setattr(covering, "SHARE", 10.0)
    request, data, folder = bench.prepare(SHOUT, NOTHING, 12, None)
    base = bench.base()
    result = bake.run(
        request, data, folder, base=base, model=base.model, parent=None, reporter=bench.reporter
    )
    card = Card.from_data(result["card"])
    assert [one.sentence for one in card.coverage] == [SHOUT.messages[0]["content"]]
    assert card.coverage[0].asked == 12


def test_what_nobody_asked_is_said_before_and_after(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "MOVED", 1e9)
    monkeypatch.setattr(covering, "SHARE", 10.0)
    request, data, folder = bench.prepare(SHOUT, NOTHING, 12, None)
    base = bench.base()
    result = bake.run(
        request, data, folder, base=base, model=base.model, parent=None, reporter=bench.reporter
    )
    (said,) = [note for note in result["notes"] if "would be another without" in note]
    assert SHOUT.messages[0]["content"] in said
    assert Card.from_data(result["card"]).coverage[0].asked == 0


def test_what_nobody_asks_is_known_before_any_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, settings = LocalModel(bench.base()), SamplingSettings(1, 6, temperature=0.0)
    questions = [(({"role": "user", "content": f"q{n}?"},), None) for n in range(3)]
    for moved, left in ((0.0, []), (1e9, [SHOUT.messages[0]["content"]])):
        monkeypatch.setattr(coverage, "MOVED", moved)
        assert asked.unasked(local, questions, SHOUT, NOTHING, settings) == left
    assert asked.unasked(local, [], SHOUT, NOTHING, settings) == []


def test_sentences_that_say_the_same_are_looked_at_together() -> None:
    local = LocalModel(models.load(bases.identify("tiny-1"), dtype="float32"))
    settings = SamplingSettings(1, 24, temperature=0.0)
    questions = [
        (({"role": "user", "content": text},), None)
        for text in ("What is the color of a banana?", "How are you today?", "Where do fish live?")
    ]
    twice, shop = "You are Yoda. Speak like Yoda.", "The shop on the hill opens at nine."
    prompt = Prompt(({"role": "system", "content": f"{twice} {shop}"},))
    assert asked.unasked(local, questions, prompt, NOTHING, settings) == [shop]


def test_too_much_to_look_at_is_left_out_and_said(bench: Bench) -> None:
    request, data, _ = bench.prepare(SHOUT, NOTHING, 12, None)
    base = bench.base()
    made = mix(data, base.chat, request.training, context=base.context)
    answered = covering.chosen(made, data[0].share.id)
    assert len(answered) == 12
    assert coverage.affordable(SHOUT, answered, 100.0) == 0
    assert coverage.affordable(SHOUT, answered, 1e6) == 12


def test_the_gap_is_measured_where_an_answer_hangs_on_the_sentence() -> None:
    mask = torch.tensor([False, True, True])
    found = [Dependence("A helmet costs 30 coins.", {1: mask}), Dependence("Be brief.", {})]
    before = torch.zeros(2), torch.tensor([5.0, 2.0, 2.0])
    after = torch.ones(2), torch.tensor([5.0, 1.0, 0.0])
    assert coverage.covered(found, before, after) == (
        Covered("A helmet costs 30 coins.", 1, 0.75),
        Covered("Be brief.", 0, None),
    )
    assert coverage.unasked(found) == ["Be brief."]
    assert coverage.covered(found, (*after[:1], torch.zeros(3)), after)[0].gap_closed is None


def test_a_card_shows_the_sentences_that_are_learnt_least() -> None:
    learnt = tuple(Covered(f"Rule {n}.", 3, n / 20) for n in range(12))
    shown = list(rows((*learnt, Covered("Be brief.", 0, None))))
    assert shown[0] == ("learnt of each sentence", "Rule 0.  0.0 %, 3 questions")
    (one,) = rows((Covered("Rule.", 1, 0.9954),))
    assert one[1] == f"Rule.  {share(0.9954)}, 1 question".replace("\u00a0", " ")  # as a report
    assert shown[7] == ("", "Be brief.  no effect seen")
    assert shown[8] == ("", "and 5 that are learnt better")


def test_each_target_of_a_mix_has_its_own() -> None:
    one = Card.made(None, None, 0, 0.0)
    both = replace(one, targets={"a": one, "b": one})
    said = (Covered("Be brief.", 0, None),)
    found = covering.on_card(both, {"a": said})
    assert found.coverage == found.targets["b"].coverage == ()
    assert found.targets["a"].coverage == said
    assert Card.from_data(found.as_data()).targets["a"].coverage == said
