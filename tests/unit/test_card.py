"""The card as a type, and as bake.json and recipe.yml hold it."""

from __future__ import annotations

import json

import pytest

from bakery.card import Asked, Card, Fidelity

PLAIN = {
    "held_out": 24,
    "tokens": 300,
    "kl_before": 0.5,
    "kl_after": 0.05,
    "gap_closed": 0.9,
    "top1_agreement": 0.97,
    "prompt_tokens_saved": 16.0,
}
ASKED = {"question": "why?", "kl_before": 0.9, "kl_after": 0.4}
MIXED = {
    **PLAIN,
    "prompt_tokens_left": 21.0,
    "left_by_template": True,
    "cut_prompt": True,
    "furthest": [ASKED],
    "targets": {
        "loud_0123456789abcdef": PLAIN,
        "still_0123456789abcdef": {**PLAIN, "anchor": True},
    },
}
NOTHING_HELD_OUT = {
    **PLAIN, "held_out": 0, "tokens": 0,
    "kl_before": None, "kl_after": None, "gap_closed": None, "top1_agreement": None,
}  # fmt: skip


@pytest.mark.parametrize("data", [PLAIN, MIXED, NOTHING_HELD_OUT])
def test_a_card_is_written_as_it_was_read(data):
    assert json.dumps(Card.from_data(data).as_data()) == json.dumps(data)


def test_a_card_is_made_with_the_keys_of_bake_json_in_their_order():
    card = Card.made(Fidelity(0.5, 0.4, 300), Fidelity(0.05, 0.97, 300), 24, 16.0)
    assert json.dumps(card.as_data()) == json.dumps(PLAIN)
    assert Card.made(None, None, 0, 16.0).as_data() == NOTHING_HELD_OUT


@pytest.mark.parametrize(("held_out", "has_ratios"), [(19, False), (20, True)])
def test_ratios_want_twenty_held_out_questions(held_out, has_ratios):
    card = Card.made(Fidelity(0.5, 0.4, 9), Fidelity(0.05, 0.97, 9), held_out, 0)
    assert (card.gap_closed is not None) is has_ratios
    assert (card.top1_agreement is not None) is has_ratios
    assert card.has_few is not has_ratios


def test_what_an_older_card_does_not_say_is_not_known():
    card = Card.from_data({"held_out": 1, "kl_before": 2.0, "kl_after": 0.1})
    assert (card.gap_closed, card.tokens, card.furthest, card.targets) == (None, 0, (), {})


def test_what_a_newer_version_says_beside_is_kept():
    data = {**PLAIN, "words_kept": 7}
    card = Card.from_data(data)
    assert card.more == {"words_kept": 7}
    assert card.as_data() == data


def test_targets_can_be_called_otherwise():
    card = Card.from_data(MIXED).renamed({"loud_0123456789abcdef": "shout_0123456789abcdef"})
    assert list(card.targets) == ["shout_0123456789abcdef", "still_0123456789abcdef"]
    assert card.furthest == (Asked("why?", 0.9, 0.4),)
