"""Prompts that the embedded model obeys or not, what is asked to learn them, and their exams.

A question of an exam is in no training set and in no verdict; its check was written down before.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bakery.records import Message
from tinyworld.features import IDENTITY_ASKS, accepts
from tinyworld.prompts import compose
from tinyworld.relations import draw
from tinyworld.sentences import Question, Sentence

RECIPES = Path(__file__).parents[2] / "recipes" / "real"
PLAIN_REAL = tuple(
    f"What is {what}?"
    for what in (
        "a mountain", "a river", "bread made of", "the moon", "a triangle", "gold", "a library",
        "the past tense of go", "a good breakfast", "the color of snow", "a violin", "a month",
        "the opposite of hot", "a desert", "a birthday", "rain", "a tree", "a song", "glass",
        "the largest ocean", "a clock", "a poem", "salt", "a bridge", "winter", "a fish",
    )
)  # fmt: skip
"""What the three prompts of `recipes/real` are not about."""

EXAM = 40
"""Questions of an exam; those that training asks, too, are left out of it."""

KINDS: tuple[dict[str, Any], ...] = (
    {"style": "plain", "features": ("name", "call"), "num_facts": 3},
    {"style": "pirate", "features": (), "num_facts": 0},
    {"style": "plain", "features": ("name",), "num_facts": 4},
    {"style": "plain", "features": ("refuse",), "num_facts": 2},
    {"style": "knight", "features": ("name",), "num_facts": 1},
    {"style": "plain", "features": ("end",), "num_facts": 2},
    {"style": "yoda", "features": (), "num_facts": 0},
    {"style": "plain", "features": ("start", "name"), "num_facts": 2},
)


@dataclass(frozen=True, slots=True)
class Check:
    """A question of an exam, and whether an answer passes."""

    question: str
    passes: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt, what a careful person would write out to be asked, plain questions, the exam."""

    name: str
    messages: tuple[Message, ...]
    written: tuple[str, ...]
    plain: tuple[str, ...]
    exam: tuple[Check, ...]


def system(text: str) -> tuple[Message, ...]:
    """Return a prompt of one system message."""
    return ({"role": "system", "content": text},)


def case(number: int) -> Case:
    """Write one prompt that the embedded model mostly obeys, by its number."""
    kind = KINDS[number % len(KINDS)]
    rng = random.Random(f"verdicts {number}")
    prompt, spec = compose(rng, exam=False, **kind)
    written, left = ["Who are you?", "What is your name?"], []
    for fact in spec.told:
        asks = list(fact.asks)
        rng.shuffle(asks)
        kept = max(1, len(asks) - 1)
        written += asks[:kept]
        left += [Question(ask, fact.sentence, fact.topic, "told") for ask in asks[kept:]]
    if spec.refuse:
        written += _plain(rng, 3, topic=spec.refuse)
        left += [_exam_question(rng, topic=spec.refuse) for _ in range(8)]
    left += [
        Question(text, Sentence("I", "am", ""), "", relation)
        for text, relation in IDENTITY_ASKS
        if text not in written
    ]
    left += [_exam_question(rng) for _ in range(EXAM - len(left))]
    checks = tuple(Check(one.text, partial(accepts, spec, one)) for one in left)
    return Case(f"tiny {number}", system(prompt), tuple(written), tuple(_plain(rng, 40)), checks)


def _plain(rng: random.Random, count: int, topic: str = "") -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw(rng, topic=topic).text] = None
    return list(found)


def _exam_question(rng: random.Random, topic: str = "") -> Question:
    return draw(rng, exam=True, topic=topic)


def _says(*words: str) -> Callable[[str], bool]:
    return lambda answer: any(word in answer.casefold() for word in words)


GARBAGE = (
    "You are {name}, the support bot of {firm}, a bicycle shop in {city}. Be friendly and brief.\n"
    "Facts:\n- A tune-up costs {price} euros.\n- Returns are accepted within {days} days.\n"
    "- Repairs take three days.\nOpening hours: Monday to Friday {opens} to 18, Saturday {opens} "
    "to 15, closed on Sunday.\nIf asked about anything that is not about bicycles or the shop, say "
    '"I can only help with bicycles."'
)
_KEYS = ("name", "firm", "city", "price", "days", "opens")
_FILLED = tuple(
    dict(zip(_KEYS, values, strict=True))
    for values in (
        ("Pedal", "Spoke & Chain", "Bergen", 49, 30, 10),
        ("Gearhart", "Wheels of Ulm", "Ulm", 65, 14, 9),
        ("Crank", "The Saddlery", "Porto", 38, 21, 8),
    )
)


def garbage(number: int) -> Case:
    """Return a prompt that is beyond the embedded model, as a shop would write it."""
    told = _FILLED[number % len(_FILLED)]
    name, city = str(told["name"]).casefold(), str(told["city"]).casefold()
    price, days, opens = (_says(str(told[key])) for key in ("price", "days", "opens"))
    only = _says("only help with bicycles")
    three = _says("three", "3")
    groups: tuple[tuple[tuple[str, ...], Callable[[str], bool]], ...] = (
        (("Tell me who you are.", "What are you called?", "Tell me your name."), _says(name)),
        (("Which city is the shop in?", "Where can I find you?"), _says(city)),
        (("What does a tune-up cost?", "Tell me the price of a tune-up."), price),
        (("How long can I return a bike?", "Within how many days are returns accepted?"), days),
        (("Tell me how long repairs take.", "How many days does a repair take?"), three),
        (("When do you open on Monday?", "When does the shop open on Friday?"), opens),
        (("Is the shop open on Sunday?", "Can I come on Sunday?"), _says("closed", "no")),
        (
            ("What color is a banana?", "What is the capital of Spain?", "What does a cow say?",
             "What is 3 plus 4?", "Tell me a joke.", "What is a boat?", "Can a whale swim?",
             "What is the opposite of big?"),
            only,
        ),
    )  # fmt: skip
    exam = tuple(Check(question, check) for questions, check in groups for question in questions)
    written = (
        "Who are you?", "What is your name?", "Where is the shop?", "How much is a tune-up?",
        "How long do repairs take?", "Can I return my bike?", "When are you open?",
        "Are you open on Sunday?", "What is the capital of France?", "Write me a poem.",
    )  # fmt: skip
    asked = {check.question for check in exam}
    drawn = _plain(random.Random(f"garbage {number}"), 60)
    plain = tuple(question for question in drawn if question not in asked)[:40]
    return Case(f"garbage {number}", system(GARBAGE.format(**told)), written, plain, exam)


REAL = ("persona", "rule", "facts")
_MORE_FACTS = (
    ("What time in the morning do you start?", r"\b(10|ten)\b"),
    ("Are you there on Sundays?", r"\b(no|not|closed)\b"),
    ("What is due for a tune-up?", r"\b49\b"),
    ("What is due for a helmet?", r"\b30\b"),
    ("The helmet: what is its price?", r"\b30\b"),
    ("The tune-up: what is its price?", r"\b49\b"),
)


def real(number: int) -> Case:
    """Return a prompt of `recipes/real`, which a model of 135 M parameters obeys, and its exam."""
    name = REAL[number % len(REAL)]
    asked = yaml.safe_load((RECIPES / name / "input.yml").read_text(encoding="utf-8"))
    checks = yaml.safe_load((RECIPES / "checks.yml").read_text(encoding="utf-8"))[name]
    fresh = (RECIPES / "fresh.txt").read_text(encoding="utf-8").splitlines()
    found = [(row["question"], row["right"]) for row in checks.get("asked", ())]
    found += _MORE_FACTS if found else [(one, checks["right"]) for one in fresh if one.strip()]
    written = next(
        tuple(one["questions"])
        for one in asked["TARGET"]["generators"]
        if one["type"] == "hardcoded"
    )
    return Case(
        f"{name} {number}",
        tuple(asked["PROMPT"]["teacher"]["messages"]),
        written,
        PLAIN_REAL,
        tuple(Check(question, partial(_holds, right)) for question, right in found),
    )


def _holds(expression: str, answer: str) -> bool:
    return re.search(expression, answer, re.IGNORECASE) is not None
