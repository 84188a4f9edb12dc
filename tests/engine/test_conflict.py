"""An earlier target in the mix, and a new prompt that contradicts it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery.app import conflicts
from bakery.backends.base import AnswerRequest
from bakery.backends.local import LocalModel
from bakery.evals import conflict
from bakery.evals.conflict import Conflict, Disagreement
from bakery.identity import SamplingSettings
from bakery.records import Prompt, Trajectory
from bakery.repo.plan.planned import Plan
from bakery.shares import TargetShare
from tests.support import recorded
from tests.support.baking import NOTHING, SHOUT, Bench

ONE = Disagreement("Who?", "I am Pedal.", "Arr!", 2.0)


@pytest.mark.parametrize(("others", "is_one"), [(0, False), (1, False), (2, True), (4, True)])
def test_what_disagrees_on_half_of_the_questions_is_in_conflict(others: int, is_one: bool) -> None:
    found = Conflict("shop", "pirate", 4, 1.0, (ONE,) * others)
    assert found.is_one is is_one
    assert (found.as_data()["warning"] is not None) is is_one
    if is_one:
        for said in (
            "shop is kept",
            f"{others} of 4",
            "take it out of BAKE.datasets (or take BAKE.replay out)",
            'now "Arr!"',
        ):
            assert said in found.warning


def compared(bench: Bench, teacher: Prompt, student: Prompt) -> Conflict:
    local = LocalModel(bench.base())
    settings = SamplingSettings(1, 6, temperature=0.0)
    asked = [AnswerRequest(f"k{n}", ({"role": "user", "content": f"q{n}?"},)) for n in range(3)]
    said = [answer for batch in local.answers(asked, NOTHING, settings) for answer in batch]
    rows = {a.key: Trajectory(a.key, 0, a.ids, a.text, a.finish) for a in said}
    kept = [(request, rows[request.key]) for request in asked]
    return conflict.compare(local, ("old", "new"), kept, (teacher, student), settings)


def test_the_same_prompt_contradicts_nothing(bench: Bench) -> None:
    found = compared(bench, NOTHING, NOTHING)
    assert (found.questions, found.apart, found.disagreements) == (3, 0.0, ())
    assert not found.is_one


def test_what_another_prompt_says_is_laid_beside_what_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflict, "APART", -1e9)  # a random model's answers differ by little
    found = compared(bench, SHOUT, NOTHING)
    apart = [one.apart for one in found.disagreements]
    assert apart == sorted(apart, reverse=True)
    assert all(one.kept != one.new for one in found.disagreements)


def test_only_what_is_learnt_for_the_same_requests_by_other_prompts_is_compared(tmp_path) -> None:
    plan = recorded.planned(recorded.made(tmp_path / "r"), recorded.configuration("one"))
    (target,) = plan.targets
    own = plan.bake.shares[0]

    def pairs(share: TargetShare) -> list[str]:
        mixed = replace(plan.bake, shares=(own, share))
        found = Plan(plan.head, plan.targets, mixed, plan.bake_name)
        return [one.name for one, _ in conflicts._pairs(found)]

    other = Prompt(({"role": "system", "content": "You are a shop."},))
    old = TargetShare("old", "0" * 16, 1.0, other, target.student)
    assert pairs(old) == ["old"]
    assert pairs(replace(old, teacher=own.teacher)) == []  # says the same
    assert pairs(replace(old, student=other)) == []  # an anchor
    assert pairs(replace(old, student=SHOUT)) == []  # behind a trigger
