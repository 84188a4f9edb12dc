"""A prompt taken apart, put together without one statement, and asked about."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from bakery.generators import asking, facts
from bakery.records import Prompt
from bakery.statements import EXAMPLE, finely, statements, without

SHOP = """\
You are Pedal, the bot of Spoke & Chain, a shop
that is in Bergen, e.g. for Dr. Lund. Be brief!

Facts
- A tune-up costs 49.50 euros.
- Repairs take three days

Hours: 10 to 18. If asked about food, say "No. I cannot."
"""


def said(text: str, *turns: str) -> Prompt:
    roles = ["user", "assistant"] * len(turns)
    examples = tuple({"role": r, "content": t} for r, t in zip(roles, turns, strict=False))
    return Prompt(({"role": "system", "content": text}, *examples))


def test_a_prompt_is_its_sentences_and_the_items_of_its_lists() -> None:
    assert [one.text for one in statements(said(SHOP))] == [
        "You are Pedal, the bot of Spoke & Chain, a shop that is in Bergen, e.g. for Dr. Lund.",
        "Be brief!",
        "A tune-up costs 49.50 euros.",
        "Repairs take three days",
        "Hours: 10 to 18.",
        'If asked about food, say "No. I cannot."',
    ]


SMALL = """\
you are pedal, the bot of a shop. it opens at 9 a.m. on weekdays, returns within thirty days, and
a bell costs ten. ask for their name, e.g. as friends do. do not talk about food!
phone: 555 1234
"""


def test_small_letters_and_facts_in_a_row_are_told_apart_for_what_was_asked() -> None:
    parts = [
        "you are pedal, the bot of a shop.",
        "it opens at 9 a.m. on weekdays",
        "returns within thirty days",
        "a bell costs ten",
        "ask for their name, e.g. as friends do.",
        "do not talk about food!",
        "phone: 555 1234",
    ]
    found = finely(said(SMALL))
    assert [one.text for one in found] == parts
    for left in found:
        (message,) = without(said(SMALL), left).messages
        text = " ".join(message["content"].split())
        assert left.text not in text
        assert all(part in text for part in parts if part != left.text)
        assert " ." not in text


@pytest.mark.parametrize(
    "text",
    [
        SHOP,
        "If they buy two bells, give ten coins back. It was founded on May 5, 1990, in two halls.",
        "Answer with 2 words, then 3 numbers, and 4 rhymes.",
        "You are Max, 30 years old, and live at 5 Main Street. etc. is not small.",
        'Say "we open at nine, and close at five" to two people.',
    ],
)
def test_what_is_one_thing_stays_one(text: str) -> None:
    assert finely(said(text, "Hi!", "Ho!")) == statements(said(text, "Hi!", "Ho!"))


def test_what_questions_are_written_by_is_in_ids_and_stays() -> None:
    assert len(statements(said(SMALL))) == 1


@pytest.mark.parametrize("text", ["", "\n\n", "---", "Facts:", "# Facts\n"])
def test_what_says_nothing_has_no_statement(text: str) -> None:
    assert statements(said(text)) == []


def test_a_prompt_without_a_statement_says_all_the_others() -> None:
    prompt = said(SHOP)
    found = statements(prompt)
    for left in found:
        rest = [one.text for one in statements(without(prompt, left))]
        assert rest == [one.text for one in found if one != left]


@pytest.mark.parametrize("text", [SHOP, SMALL, f"  {SHOP}"])
def test_a_prompt_without_several_statements_says_the_others(text: str) -> None:
    prompt = said(text, "Who?", "Me.")
    found = finely(prompt)
    chosen = [{kept} for kept in found] + [set(found) - set(pair) for pair in pairwise(found)]
    for kept in chosen:
        left = statements(without(prompt, *(one for one in found if one not in kept)))
        rest = " ".join(one.text for one in left)
        assert all((one.text.rstrip(".") in rest) == (one in kept) for one in found)


def test_nothing_is_left_of_a_message_whose_only_sentence_goes() -> None:
    prompt = said("You are a pirate.")
    assert without(prompt, statements(prompt)[0]) == Prompt()


def test_example_turns_go_together() -> None:
    prompt = said("Be wise.", "Who?", "Me.", "Why?", "So.")
    _, first, second = statements(prompt)
    assert first.text == f"{EXAMPLE}Who? / Me."
    assert [m["content"] for m in without(prompt, first).messages] == ["Be wise.", "Why?", "So."]
    assert [m["content"] for m in without(prompt, second).messages] == ["Be wise.", "Who?", "Me."]


ASKED = {
    "Your name is Pedal.": ["What is your name?", "Who is Pedal?"],
    "You are Captain Brine, an old pirate.": ["Who are you?", "Is your name Captain Brine?"],
    "A helmet costs 30 coins.": ["How much does a helmet cost?", "What costs 30 coins?"],
    "The shop of Pedal opens at 10.": ["When does the shop open?", "What opens at 10?"],
    "Repairs take three days.": ["How long do repairs take?", "What takes three days?"],
    "Do not talk about food.": ["Tell me something about food.", "Do you like food?"],
    "Opening hours: 10 to 18": ["What are the opening hours?"],
    "Delivery takes 2 days and costs 4 pounds; never more.": [
        "How long does delivery take?",
        "How much does delivery cost?",
        "What costs 4 pounds?",
    ],
    "Anna lives in Bergen.": ["Where does Anna live?", "Who lives in Bergen?"],
    "The boss of Anna is Ivo.": ["Who is the boss of Anna?", "What is Ivo?"],
    "Speak like a pirate.": list(asking.ANY),
    'Say "people", not "folk".': list(asking.ANY),
}


@pytest.mark.parametrize("statement", ASKED)
def test_a_statement_is_asked_for_directly_and_the_other_way_round(statement: str) -> None:
    asked = list(asking.questions(statement, said(statement), random.Random(1)))
    assert set(ASKED[statement]) <= set(asked)
    assert len(asked) == len({text.casefold() for text in asked})


def test_what_is_asked_for_as_unsaid_is_not_in_the_prompt() -> None:
    things = [thing.split(" ")[1] for thing in asking.UNSAID]
    prompt = said(f"A helmet costs 30 coins. We sell a {things[0]} and a {things[1]}.")
    for seed in range(20):
        asked = list(asking.questions("A helmet costs 30 coins.", prompt, random.Random(seed)))
        assert asked[-1].startswith("How much is a")
        assert not {things[0], things[1]} & set(asked[-1].rstrip("?").split())


def test_the_same_prompt_and_seed_ask_the_same() -> None:
    prompt = said(SHOP, "Who?", "Me.")
    assert facts.planned(prompt, 3) == facts.planned(prompt, 3)
    assert facts.planned(prompt, 3)[-1][1] == ["Who?"]
