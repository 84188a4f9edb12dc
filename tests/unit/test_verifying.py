"""Which model answers: lists of likely tokens and greedy answers, and what is told from them."""

from __future__ import annotations

import math

import pytest

from bakery.evals.verifying import Heard, Probe, apart, figures

BAKED = {"Arr": math.log(0.9), "I": math.log(0.05), "Well": math.log(0.01)}
BASE = {"I": math.log(0.8), "Well": math.log(0.1), "Arr": math.log(0.001)}
PROBES = [Probe(f"q{n}", Heard("Arr!", BAKED), Heard("I am.", BASE)) for n in range(8)]


def between(strength: float) -> dict[str, float]:
    return {t: strength * BAKED[t] + (1 - strength) * BASE[t] for t in BAKED}


def off(one: dict[str, float], by: float) -> dict[str, float]:
    return {token: value + by for token, value in one.items()}


@pytest.mark.parametrize(
    ("heard", "what", "is_rounded"),
    [
        (Heard("Arr!", BAKED), "bake", False),
        (Heard("Arr!", off(BAKED, 0.02)), "bake", True),
        (Heard("I am.", BASE), "base", True),
        (Heard("Arr!", between(0.5)), "other", True),
        (Heard("Arr!", between(1.5)), "other", True),
        (Heard("Hm.", {"Hm": -0.1, "So": -3.0}), "other", True),
        (Heard("Arr!", None), "bake", False),
        (Heard("I am.", None), "base", False),
        (Heard("Hm.", None), "other", False),
    ],
)
def test_what_answers_is_told_by_beginnings_and_answers(heard, what, is_rounded):
    found = figures(PROBES, [heard] * len(PROBES))
    assert (found.what, found.is_rounded) == (what, is_rounded)


def test_answers_alone_are_not_enough_where_beginnings_are_known():
    some = [Heard("Arr!", BASE)] * 8
    assert figures(PROBES, some).what == "other"


def test_a_quarter_of_the_answers_may_differ():
    heard = [Heard("Arr!", BAKED)] * 6 + [Heard("Arr?", BAKED)] * 2
    assert figures(PROBES, heard).what == "bake"
    assert figures(PROBES, [*heard[1:], Heard("Arr?", BAKED)]).what == "other"


def test_a_bake_that_answers_as_its_base_cannot_be_told_from_it():
    probes = [Probe("q", Heard("I am.", BASE), Heard("I am.", BASE))] * 4
    assert figures(probes, [Heard("I am.", BASE)] * 4).what == "alike"
    assert figures(probes, [Heard("Hm.", BAKED)] * 4).what == "other"


def test_a_bake_whose_beginnings_are_its_base_s_is_told_by_its_answers():
    probes = [Probe("q", Heard("At 10.", BASE), Heard("At home.", BASE))] * 4
    assert figures(probes, [Heard("At 10.", BASE)] * 4).what == "bake"
    assert figures(probes, [Heard("At home.", BASE)] * 4).what == "base"


def test_a_distance_is_nothing_to_oneself_and_the_same_from_both_sides():
    assert apart(BAKED, BAKED) == 0
    assert apart(BAKED, BASE) == pytest.approx(apart(BASE, BAKED))
    assert apart({"a": -0.1}, {"b": -0.1}) == 0  # nothing is known of what either leaves out
