"""Every plain question of the world, by relation, with its answer.

`draw` draws one, `all_questions` lists them by text. How facts are made is in `families`;
questions about prompts' own facts are in `told`.
"""

from __future__ import annotations

import random
from functools import lru_cache

from tinyworld import entities as world
from tinyworld.families import (
    Fact,
    abilities,
    arithmetic,
    column,
    filled,
    jobs,
    kinds,
    numbers,
    sequence,
    sizes,
)
from tinyworld.names import held_out
from tinyworld.sentences import Question, Sentence

_ANIMALS, _FOODS, _THINGS, _LANDS = world.ANIMALS, world.FOODS, world.THINGS, world.COUNTRIES
_COLOR_ASKS = (
    "what color is {a}?|what is the color of {a}?|tell me the color of {a}.|"
    "which color does {a} have?|what color does {a} have?"
)
_TABLE: dict[str, tuple[str, float, list[Fact]]] = {
    "color": (
        "food",
        1.2,
        filled(
            "{a}",
            "is",
            "{v}",
            _COLOR_ASKS,
            "is {a} {v}?",
            column(_FOODS, 1),
        ),
    ),
    "nature": (
        "",
        0.7,
        filled(
            "{a}",
            "is",
            "{v}",
            _COLOR_ASKS,
            "is {a} {v}?",
            column(world.NATURE, 1),
        ),
    ),
    "taste": (
        "food",
        0.8,
        filled(
            "{a}",
            "tastes",
            "{v}",
            "how does {a} taste?|what does {a} taste like?|"
            "what is the taste of {a}?|tell me how {a} tastes.",
            "does {a} taste {v}?",
            column(_FOODS, 2),
        ),
    ),
    "food kind": (
        "food",
        0.6,
        filled(
            "{a}",
            "is",
            "{v}",
            "what kind of food is {a}?|what type of food is {a}?|which kind of food is {a}?",
            "is {a} {v}?",
            column(_FOODS, 3),
        ),
    ),
    "sound": (
        "animals",
        1.0,
        filled(
            "{a}",
            "says",
            "{v}",
            "what does {a} say?|what sound does {a} make?|"
            "what is the sound of {a}?|which sound does {a} make?",
            "does {a} say {v}?",
            column(_ANIMALS, 1),
        ),
    ),
    "home": (
        "animals",
        1.0,
        filled(
            "{a}",
            "lives",
            "{v}",
            "where does {a} live?|where is the home of {a}?|"
            "where can I find {a}?|tell me where {a} lives.",
            "does {a} live {v}?",
            column(_ANIMALS, 2),
        ),
    ),
    "diet": (
        "animals",
        1.0,
        filled(
            "{a}",
            "eats",
            "{v}",
            "what does {a} eat?|what is the food of {a}?|"
            "what does {a} like to eat?|tell me what {a} eats.",
            "does {a} eat {v}?",
            column(_ANIMALS, 3),
        ),
    ),
    "legs": (
        "animals",
        0.8,
        filled(
            "{a}",
            "has",
            "{v} legs",
            "how many legs does {a} have?|"
            "what is the number of legs of {a}?|count the legs of {a}.",
            "does {a} have {v}?",
            column(_ANIMALS, 4),
        ),
    ),
    "young": (
        "animals",
        0.7,
        filled(
            "a baby {e}",
            "is called",
            "{v}",
            "what is a baby {e} called?|"
            "what do you call a baby {e}?|what is the name for a young {e}?",
            "",
            column(_ANIMALS, 5),
        ),
    ),
    "class": (
        "animals",
        0.8,
        filled(
            "{a}",
            "is",
            "{v}",
            "what kind of animal is {a}?|what type of animal is {a}?|which kind of animal is {a}?",
            "is {a} {v}?",
            column(_ANIMALS, 6),
        ),
    ),
    "use": (
        "objects",
        1.2,
        filled(
            "{a}",
            "is",
            "for {v}",
            "what is {a} for?|what is {a} used for?|"
            "what do people use {a} for?|what is the use of {a}?|tell me what {a} is for.",
            "is {a} {v}?",
            column(_THINGS, 1),
        ),
    ),
    "place": (
        "objects",
        1.0,
        filled(
            "{a}",
            "belongs",
            "{v}",
            "where does {a} belong?|where do I find {a}?|"
            "where do people keep {a}?|where should I put {a}?",
            "does {a} belong {v}?",
            column(_THINGS, 2),
        ),
    ),
    "material": (
        "objects",
        0.9,
        filled(
            "{a}",
            "is made",
            "of {v}",
            "what is {a} made of?|what material is {a} made of?|"
            "which material is {a} made of?|tell me what {a} is made of.",
            "is {a} made {v}?",
            column(_THINGS, 3),
        ),
    ),
    "capital": (
        "countries",
        1.3,
        filled(
            "the capital of {a}",
            "is",
            "{v}",
            "what is the capital of {a}?|"
            "which city is the capital of {a}?|tell me the capital of {a}.|"
            "name the capital of {a}.|do you know the capital of {a}?",
            "is the capital of {a} {v}?",
            column(_LANDS, 1),
        ),
    ),
    "continent": (
        "countries",
        0.8,
        filled(
            "{a}",
            "is",
            "in {v}",
            "where is {a}?|which continent is {a} in?|on which continent is {a}?",
            "is {a} {v}?",
            column(_LANDS, 2),
        ),
    ),
    "language": (
        "countries",
        0.8,
        filled(
            "people in {a}",
            "speak",
            "{v}",
            "which language do people in {a} speak?|"
            "what language do people speak in {a}?|what do people speak in {a}?",
            "do people in {a} speak {v}?",
            column(_LANDS, 3),
        ),
    ),
    "country": (
        "countries",
        0.7,
        filled(
            "the country with the capital {a}",
            "is",
            "{v}",
            "which country has the capital {a}?|"
            "{a} is the capital of which country?|what country is {a} the capital of?",
            "",
            [(row[1], row[0]) for row in _LANDS],
        ),
    ),
    "job": ("jobs", 1.1, jobs()),
    "workplace": (
        "jobs",
        0.7,
        filled(
            "{a}",
            "works",
            "{v}",
            "where does {a} work?|where is the workplace of {a}?|tell me where {a} works.",
            "does {a} work {v}?",
            [(row[0], row[4]) for row in world.JOBS],
        ),
    ),
    "opposite": (
        "words",
        1.0,
        filled(
            "the opposite of {a}",
            "is",
            "{v}",
            "what is the opposite of {a}?|"
            "which word is the opposite of {a}?|tell me the opposite of {a}.|"
            "name the opposite of {a}.",
            "is {v} the opposite of {a}?",
            [pair for a, b in world.OPPOSITES for pair in ((a, b), (b, a))],
        ),
    ),
    "past": (
        "words",
        0.6,
        filled(
            "the past tense of {a}",
            "is",
            "{v}",
            "what is the past tense of {a}?|"
            "tell me the past tense of {a}.|give me the past tense of {a}.",
            "",
            list(world.PAST_TENSES),
        ),
    ),
    "plural": (
        "words",
        0.6,
        filled(
            "the plural of {a}",
            "is",
            "{v}",
            "what is the plural of {a}?|tell me the plural of {a}.|give me the plural of {a}.",
            "",
            list(world.PLURALS),
        ),
    ),
    "kind": ("", 1.1, kinds()),
    "size": ("animals", 1.2, sizes()),
    "compare": ("numbers", 1.0, numbers()),
    "day": ("words", 0.4, sequence("day", world.DAYS)),
    "month": ("words", 0.4, sequence("month", world.MONTHS)),
    "letter": ("words", 0.5, sequence("letter", world.LETTERS)),
    "next": ("numbers", 0.6, sequence("number", [str(n) for n in range(101)])),
}


@lru_cache(maxsize=1)
def facts() -> dict[str, tuple[str, float, list[Fact]]]:
    """Give relation -> (topic, weight in the draw, facts)."""
    table = dict(_TABLE)
    for relation, fact in arithmetic():
        table.setdefault(
            relation, ("numbers", {"sum": 1.5, "product": 0.5}.get(relation, 0.9), [])
        )[2].append(fact)
    return table


def _yes_no(fact: Fact, template: str, value: str) -> tuple[str, Sentence]:
    s = fact.sentence
    lead = "Yes" if value == s.complement else "No"
    return template.replace("{v}", value), Sentence(s.subject, s.verb, s.complement, lead)


def draw(rng: random.Random, *, exam: bool = False, topic: str = "") -> Question:
    """Draw one plain question from the training side, or from the exam's."""
    while True:
        question = _draw(rng, topic)
        if is_for_exam(question.text) == exam:
            return question


def is_for_exam(text: str) -> bool:
    """Whether a plain question is never trained: by its hash, unless it is its fact's first."""
    return held_out(text) and text not in _first_asks()


@lru_cache(maxsize=1)
def _first_asks() -> frozenset[str]:
    return frozenset(fact.asks[0] for _, _, rows in facts().values() for fact in rows)


_ABILITIES: list[Question] = [question for _, question in abilities()]


@lru_cache(maxsize=16)
def _menu(topic: str) -> tuple[list[str], list[float]]:
    rows = [
        (name, weight) for name, (kind, weight, _) in facts().items() if not topic or kind == topic
    ]
    if topic in ("", "animals"):
        rows.append(("ability", 0.8))
    return [name for name, _ in rows], [weight for _, weight in rows]


def _draw(rng: random.Random, topic: str) -> Question:
    relation = rng.choices(*_menu(topic))[0]
    if relation == "ability":
        return rng.choice(_ABILITIES)
    kind, _, rows = facts()[relation]
    fact = rng.choice(rows)
    if fact.yes_no and rng.random() < 0.20:
        right = rng.random() < 0.5
        value = fact.sentence.complement if right else rng.choice(fact.wrong)
        text, sentence = _yes_no(fact, rng.choice(fact.yes_no), value)
        return Question(text, sentence, kind, relation)
    return Question(rng.choice(fact.asks), fact.sentence, kind, relation)


@lru_cache(maxsize=1)
def all_questions() -> dict[str, Question]:
    """List every plain question by its text."""
    made: dict[str, Question] = {question.text: question for question in _ABILITIES}
    for relation, (topic, _, rows) in facts().items():
        for fact in rows:
            for text in fact.asks:
                made[text] = Question(text, fact.sentence, topic, relation)
            for template in fact.yes_no:
                for value in (fact.sentence.complement, *fact.wrong):
                    text, sentence = _yes_no(fact, template, value)
                    made.setdefault(text, Question(text, sentence, topic, relation))
    return made
