"""A card tells on which questions a bake is furthest from the prompted model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bakery.card import Fidelity, together
from bakery.engine.text.views import Pair, View
from bakery.records import Stimulus
from bakery.stages import measured
from bakery.stages.mix import Mix
from tests.support.baking import Bench


def asked(text: str, generator: str = "hardcoded") -> Stimulus:
    return Stimulus(text, ({"role": "user", "content": text},), generator, "user")


def mix_of(generator: str) -> Mix:
    texts = {"t/a": "Who are you?", "t/b": "Where is Rome?"}
    stimuli = {key: asked(text, generator) for key, text in texts.items()}
    return Mix([], [], [], stimuli, [], [])


MIX, WRITTEN = mix_of("persona"), mix_of("hardcoded")


def test_a_card_names_the_three_questions_that_are_furthest(bench: Bench) -> None:
    card = bench.bake(questions=60, epochs=2)["card"]
    furthest = card["furthest"]
    assert len({one["question"] for one in furthest}) == len(furthest) == 3
    distances = [one["kl_after"] for one in furthest]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > card["kl_after"]
    assert all(one["question"].startswith("q") for one in furthest)


def test_the_questions_together_are_the_card(bench: Bench) -> None:
    # Three are held out of 30, so that the card names all of them.
    card = bench.bake(questions=30, epochs=1, eval_share=0.1)["card"]
    assert card["held_out"] == 3
    for key in ("kl_before", "kl_after"):
        each = [one[key] for one in card["furthest"]]
        assert min(each) <= card[key] <= max(each)


def test_nothing_held_out_names_no_question(bench: Bench) -> None:
    assert "furthest" not in bench.bake(questions=12, epochs=1, eval_share=0)["card"]


def test_questions_that_may_be_answered_otherwise_are_told_of() -> None:
    after = {"t/a": Fidelity(0.3, 0.9, 10, 2.25), "t/b": Fidelity(0.3, 1.0, 10, 0.6)}
    (note,) = measured.notes(after, MIX)
    assert note.startswith("1 of 2 questions may not be answered as under the prompt, ")
    (note,) = measured.notes(after, WRITTEN)
    assert note.startswith("warning: 1 that input.yml writes out is not learnt. 1 of 2 questions")
    assert 'first of all "Who are you?" (2.2 nats at one token)' in note


def test_a_question_that_input_yml_writes_out_is_named_first() -> None:
    stimuli = {**MIX.stimuli, "t/b": asked("Where is Rome?")}
    after = {"t/a": Fidelity(0.3, 0.9, 10, 5.0), "t/b": Fidelity(0.3, 1.0, 10, 2.25)}
    (note,) = measured.notes(after, replace(MIX, stimuli=stimuli))
    assert 'first of all "Where is Rome?", "Who are you?" (2.2 nats at one token)' in note


@pytest.mark.parametrize("after", [{"t/a": Fidelity(0.3, 0.9, 10, 0.9)}, {}])
def test_what_was_learnt_or_not_measured_is_no_news(after: dict[str, Fidelity]) -> None:
    assert list(measured.notes(after, MIX)) == []


def test_of_made_up_answers_nothing_is_told() -> None:
    made_up = replace(MIX, targets=[{"name": "t", "id": "t", "backend": "fake"}])
    assert list(measured.notes({"t/a": Fidelity(0.3, 0.9, 10, 2.25)}, made_up)) == []


def test_the_largest_divergence_of_all_parts_is_kept() -> None:
    both = together([Fidelity(0.1, 1.0, 5, 0.4), Fidelity(0.2, 1.0, 15, 3.0)])
    assert both is not None
    assert (both.worst, both.tokens) == (3.0, 20)


def test_what_was_not_learnt_of_what_it_trained_on_is_told_of(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(measured, "OTHERWISE", 4e-3)  # a prompt moves a random model only little

    def told(**changes: Any) -> list[str]:
        notes = bench.bake(questions=12, eval_share=0, **changes)["notes"]
        return [note for note in notes if "as under the prompt" in note]

    (note,) = told(epochs=1, learning_rate=1e-9)
    assert note.startswith("warning: 12 that input.yml writes out are not learnt. 12 of 12 ques")
    assert told(epochs=30) == []


def test_of_many_questions_those_the_user_wrote_are_looked_at_first(monkeypatch) -> None:
    monkeypatch.setattr(measured, "LOOKED_AT", 3)
    view = View((1, 2), ((1, 2),))
    keys = [f"t/{i}" for i in range(6)]
    pairs = [Pair(f"{key}/{sample}", view, view) for key in keys for sample in range(2)]
    stimuli = {key: asked(key, "hardcoded" if key == "t/5" else "oneshot_qs") for key in keys}
    chosen = measured.trained_on(Mix(pairs, pairs, [], stimuli, [], []))
    assert chosen[0].key == "t/5/0"
    assert len({pair.key for pair in chosen}) == 3
    assert all(pair.key.endswith("/0") for pair in chosen)
