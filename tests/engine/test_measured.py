"""A card tells on which questions a bake is furthest from the prompted model."""

from __future__ import annotations

import pytest

from bakery.engine.fidelity import Fidelity
from bakery.stages import measured
from bakery.stages.mix import Mix
from tests.support.baking import Bench

MIX = Mix([], [], {"t/a": "Who are you?", "t/b": "What is the capital of France?"}, [], [])
BEFORE = {"t/a": Fidelity(2.9, 0.1, 10), "t/b": Fidelity(0.5, 0.5, 10)}


def test_a_card_names_the_three_questions_that_are_furthest(bench: Bench) -> None:
    card = bench.bake(questions=60, epochs=2)["card"]
    furthest = card["furthest"]
    assert len(furthest) == 3
    assert len({asked["question"] for asked in furthest}) == 3
    distances = [asked["kl_after"] for asked in furthest]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > card["kl_after"]
    assert all(asked["question"].startswith("q") for asked in furthest)


def test_the_questions_together_are_the_card(bench: Bench) -> None:
    # Three are held out of 30, so that the card names all of them.
    card = bench.bake(questions=30, epochs=1, eval_share=0.1)["card"]
    assert card["held_out"] == 3
    for key in ("kl_before", "kl_after"):
        each = [asked[key] for asked in card["furthest"]]
        assert min(each) <= card[key] <= max(each)


def test_nothing_held_out_names_no_question(bench: Bench) -> None:
    assert "furthest" not in bench.bake(questions=12, epochs=1, eval_share=0)["card"]


def test_a_question_that_was_not_half_learnt_is_told_of() -> None:
    after = {"t/a": Fidelity(2.1, 0.2, 10), "t/b": Fidelity(0.01, 1.0, 10)}
    (note,) = measured.notes(BEFORE, after, MIX)
    assert note.startswith("1 of 2 held-out questions are not half learnt, the furthest ")
    assert "'Who are you?' (2.1 of 2.9 nats per token)" in note


@pytest.mark.parametrize(
    "after",
    [
        {"t/a": Fidelity(1.4, 0.6, 10), "t/b": Fidelity(0.2, 1.0, 10)},
        {},
    ],
)
def test_what_was_learnt_by_half_or_not_measured_is_no_news(after: dict[str, Fidelity]) -> None:
    assert list(measured.notes(BEFORE, after, MIX)) == []


def test_a_question_that_the_prompt_hardly_changes_is_no_news() -> None:
    before = {"t/a": Fidelity(0.05, 0.9, 10)}
    assert list(measured.notes(before, before, MIX)) == []
