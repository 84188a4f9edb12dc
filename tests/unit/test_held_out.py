"""What is kept from training: how many questions, and which."""

from __future__ import annotations

import pytest

from bakery import held_out

ASKED = [f"question {number}" for number in range(100)]
SPARING, ANY = (held_out.rule(spares_hardcoded=spares) for spares in (True, False))
NEVER = held_out.rule(spares_hardcoded=True, learns_hardcoded=True)


def test_the_same_questions_are_kept_whatever_their_order() -> None:
    kept = held_out.chosen(ASKED, (), ANY, None)
    assert len(kept) == 20
    assert held_out.chosen(ASKED[::-1], (), ANY, None) == kept


def test_what_is_written_out_is_always_learnt_where_there_is_enough_else() -> None:
    hardcoded = ASKED[:60]
    kept = held_out.chosen(ASKED, hardcoded, SPARING, None)
    assert len(kept) == 20
    assert not kept & set(hardcoded)
    assert held_out.chosen(ASKED, hardcoded, ANY, None) & set(hardcoded)


@pytest.mark.parametrize("others", [0, 10, 39])
def test_where_there_is_too_little_else_any_may_be_kept(others: int) -> None:
    hardcoded = ASKED[others:]
    assert held_out.chosen(ASKED, hardcoded, SPARING, None) == held_out.chosen(
        ASKED, hardcoded, ANY, None
    )


def test_a_share_that_was_asked_for_spares_them_too() -> None:
    kept = held_out.chosen(ASKED, ASKED[:50], SPARING, 0.25)
    assert len(kept) == 25
    assert not kept & set(ASKED[:50])


def test_a_rule_is_said_in_words_that_ids_are_made_of() -> None:
    assert ANY == "stimuli: 10 %, at least 20 where that is at most a fifth"
    assert held_out.rule(spares_hardcoded=False, share=0.25) == "stimuli: 25 %"
    assert SPARING.startswith("stimuli that are not hardcoded: ")


@pytest.mark.parametrize(
    ("others", "held"), [(0, 0), (1, 0), (10, 5), (39, 19), (40, 20), (100, 20)]
)
def test_what_is_written_out_is_never_held_out_however_few_others_there_are(
    others: int, held: int
) -> None:
    hardcoded = ASKED[others:]
    kept = held_out.chosen(ASKED, hardcoded, NEVER, None)
    assert len(kept) == held
    assert not kept & set(hardcoded)


def test_what_is_asked_to_be_held_out_is_and_counts() -> None:
    asked = ASKED[:8]
    kept = held_out.chosen(ASKED, ASKED[8:16], NEVER, None, asked)
    assert set(asked) < kept
    assert len(kept) == held_out.number(100, 8, 8, NEVER, None) == 20
    assert held_out.chosen(ASKED, ASKED, NEVER, None, asked) == set(asked)


def test_a_share_that_was_asked_for_is_of_what_is_not_written_out() -> None:
    kept = held_out.chosen(ASKED, ASKED[:60], NEVER, 0.5)
    assert kept == set(ASKED[60:])
    assert len(held_out.chosen(ASKED, (), NEVER, 0.999)) == 99
