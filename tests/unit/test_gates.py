"""What a run does not go on with unasked, and what waives it."""

from __future__ import annotations

from typing import Any

import pytest

from bakery.app import gates
from bakery.errors import GateError


def judged(usable: int, of: int) -> dict[str, Any]:
    one = {"writer": "base", "usable": usable, "of": of, "good": [], "bad": []}
    return {"count": 9, "judged": {"0": one}}


@pytest.mark.parametrize(
    ("done", "is_poor"),
    [
        (None, False),
        ({"count": 9}, False),
        (judged(3, 7), False),  # too few to say
        (judged(3, 8), True),
        (judged(4, 8), False),
        (judged(40, 81), True),
    ],
)
def test_a_set_is_poor_where_fewer_than_half_of_the_replies_are_usable(
    done: dict[str, Any] | None, is_poor: bool
) -> None:
    assert bool(gates.poor(done)) is is_poor


def test_a_poor_set_is_refused_with_the_way_on_and_exit_code_6() -> None:
    with pytest.raises(GateError, match=r"only 3 of 8 replies of base .* \(37 %\)") as caught:
        gates.check_questions(judged(3, 8), [])
    assert caught.value.exit_code == 6
    assert "`bgit run --allow questions` goes on" in str(caught.value.hint)


def test_a_poor_set_that_is_allowed_is_gone_on_with() -> None:
    gates.check_questions(judged(3, 8), ["questions"])


INPUT = """\
PROMPT: {teacher: "You are Yoda."}
TARGET:
  generators:
    - {type: oneshot_qs, numq: %d}
  num_traj_per_stimulus: %d
BAKE: {}
"""


@pytest.mark.parametrize(
    ("numq", "each", "told"),
    [
        (1_000_000, 1, "asks for 1,000,000 questions: the limit is 100,000"),
        (100_000, 10, ""),
        (5, 1_000_000_000, "asks for 5,000,000,000 answers: the limit is 1,000,000"),
    ],
)
def test_a_target_that_asks_for_too_much_is_told(repo, numq: int, each: int, told: str) -> None:
    plan = repo.plan_of(INPUT % (numq, each), "input.yml")
    assert told in gates.beyond(plan.targets[0])
    gates.check_limits(plan.targets, ["limits"])
    if told:
        with pytest.raises(GateError, match=told) as refused:
            gates.check_limits(plan.targets, [])
        assert "--allow limits" in str(refused.value.hint)
    allowed = repo.plan_of(INPUT % (5, 1), "input.yml")
    assert gates.beyond(allowed.targets[0]) == ""
