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
