"""What is printed of bakes that were put together, and the word for what they come to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery.app.cherry_pick import Picked
from bakery.app.leave_out import LeftOut
from bakery.app.merge import Merged, Tried
from bakery.kept import Contradiction, Kept, Row, recorded, summed_up
from bakery.records import ModelRef
from bakery.ui.joined import show_left_out, show_merged, show_picked

ROW = Row("Who are you?", "I am Pip.", "I am Ada.", 1.0, 6.0, "a name")
WHOLE = Kept("color_0123456789abcdef", "both", 12, 0, 1.0, 1.0, 0.01, 0.1, ())
NEAR = Kept("price_0123456789abcdef", "ours", 12, 1, 1.0, 0.9, 0.02, 2.0, (ROW,))
LOST = Kept("zorbia_0123456789abcdef", "theirs", 12, 6, 1.0, 0.5, 0.3, 6.0, (ROW,))
MODEL = ModelRef("ann", "shop", "a-b_0123456789abcdef", 1)
MERGED = Merged("exp", None, MODEL, "tiny-1", "svd", MODEL, "c0ffee", (Tried("svd", (WHOLE,)),))


@pytest.mark.parametrize(
    ("kept", "word", "why"),
    [
        ((WHOLE, NEAR), "as before", "23 of 24 questions are answered as by the models"),
        ((WHOLE,), "as before", "all 12 questions"),
        ((WHOLE, LOST), "lost in part", "one answer in ten is another one of zorbia"),
        ((replace(LOST, other=12),), "lost", "0 of 12"),
    ],
)
def test_a_word_sums_up_what_is_left_of_all_targets(kept, word, why):
    told = [one.as_data() for one in kept]
    found = summed_up(recorded({"kept": told}))
    assert found is not None
    assert found[0] == word
    assert why in found[1]


def test_where_nothing_was_asked_there_is_no_word():
    assert summed_up(recorded({"how": "cat"})) is None


def test_what_a_merge_loses_is_said_with_what_to_do(capsys):
    show_merged(replace(MERGED, tried=(Tried("svd", (WHOLE, LOST)),)))
    told = capsys.readouterr().out
    assert "Of zorbia more than one answer in ten" in told
    assert "`bgit revert a-b_0123456789abcdef` takes the merge back" in told
    assert "`bgit merge --weights=distill exp` then learns" in told
    show_merged(MERGED)
    assert "revert" not in capsys.readouterr().out


def test_answers_are_shown_of_what_was_taken_alone(capsys):
    """Those of a way that was given up are no longer anybody's; one that is left is another."""
    tried = (Tried("cat", (LOST,)), Tried("distill", (NEAR,)))
    show_merged(replace(MERGED, how="distill", tried=tried))
    assert capsys.readouterr().out.count("I am Ada.") == 1


def test_a_question_that_both_sides_asked_is_one(capsys):
    asked = ("Who are you?", "pip", "ours", "I am Crumb.", "I am Pip.", "I am Ada.")
    twice = (Contradiction("pip/1", *asked), Contradiction("ada/1", *asked))
    show_merged(replace(MERGED, how="refused", model=None, commit=None, contradictions=twice))
    told = capsys.readouterr().out
    assert told.startswith("1 question has two answers:")
    assert told.count("I am Pip.") == 1


def test_targets_are_said_to_be_whose_they_are(capsys):
    picked = Picked("b", MODEL, "tiny-1", MODEL, "c0ffee", (NEAR, replace(LOST, other=1)))
    show_picked(picked)
    told = capsys.readouterr().out
    assert "this branch" in told
    assert "the one picked" in told
    show_left_out(LeftOut("b_1", MODEL, MODEL, "tiny-1", "c0ffee", (MODEL,), (), (NEAR,)))
    told = capsys.readouterr().out
    assert "ours" not in told
    assert "learnt by" not in told
