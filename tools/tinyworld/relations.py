"""Every plain question of the world, by relation, with its answer.

`RELATIONS` maps a relation to a function that draws one question; `all_questions` lists them.
Questions about prompts' own facts are in `features`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from . import entities as world
from .names import held_out
from .sentences import Question, Sentence, bare, capital


@dataclass(frozen=True, slots=True)
class Fact:
    """One true statement and the ways to ask for it; `{v}` in `yes_no` takes a value."""

    sentence: Sentence
    asks: tuple[str, ...]
    yes_no: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def _facts(subject: str, verb: str, complement: str, asks: str, yes_no: str,
           rows: list[tuple[str, str]]) -> list[Fact]:
    """Fill templates: {a} the noun, {e} without article, {v} the value."""
    values = tuple(dict.fromkeys(value for _, value in rows))
    made = []
    for noun, value in rows:
        def fill(text: str, noun: str = noun, value: str = "{v}") -> str:
            full = text.replace("{a}", noun).replace("{e}", bare(noun)).replace("{v}", value)
            return capital(full)
        sentence = Sentence(subject.replace("{a}", noun).replace("{e}", bare(noun)), verb,
                            complement.replace("{v}", value))
        made.append(Fact(
            sentence,
            tuple(fill(ask) for ask in asks.split("|")),
            tuple(fill(ask) for ask in yes_no.split("|") if ask),
            tuple(complement.replace("{v}", other) for other in values if other != value),
        ))
    return made


def _column(rows: list[list[str]], index: int, but: str = "") -> list[tuple[str, str]]:
    return [(row[0], row[index]) for row in rows if row[index] != but]


def _sequence(kind: str, items: list[str]) -> list[Fact]:
    made = []
    for before, after in pairwise(items):
        made.append(Fact(Sentence(f"the {kind} after {before}", "is", after), (
            f"What comes after {before}?", f"Which {kind} comes after {before}?",
            f"What is the {kind} after {before}?", f"Tell me the {kind} after {before}.")))
        made.append(Fact(Sentence(f"the {kind} before {after}", "is", before), (
            f"What comes before {after}?", f"Which {kind} comes before {after}?",
            f"What is the {kind} before {after}?", f"Tell me the {kind} before {after}.")))
    return made


def _arithmetic() -> Iterator[tuple[str, Fact]]:
    def fact(words: str, result: int, *asks: str) -> Fact:
        return Fact(Sentence(words, "is", str(result)), (
            f"What is {words}?", f"How much is {words}?", f"Calculate {words}.",
            f"Can you tell me what {words} is?", *asks))

    for a in range(1, 13):
        for b in range(1, 13):
            yield "sum", fact(f"{a} plus {b}", a + b, f"What is {a} + {b}?", f"Add {a} and {b}.")
            if a <= 10 and b <= 10:
                yield "product", fact(f"{a} times {b}", a * b, f"What is {a} x {b}?",
                                      f"Multiply {a} by {b}.")
    for a in range(1, 21):
        for b in range(1, min(a, 12) + 1):
            yield "difference", fact(f"{a} minus {b}", a - b, f"What is {a} - {b}?",
                                     f"Subtract {b} from {a}.")


def _kinds() -> list[Fact]:
    groups = [(world.ANIMALS, "an animal"), (world.FOODS, "a food"), (world.THINGS, "an object"),
              (world.COUNTRIES, "a country"), (world.JOBS, "a job")]
    kinds = [kind for _, kind in groups]
    made = []
    for rows, kind in groups:
        for row in rows:
            noun = row[0]
            others = [other for other in kinds if other != kind]
            asks = [f"What kind of thing is {noun}?", f"What type of thing is {noun}?",
                    f"Which group does {noun} belong to?"]
            for other in others:
                asks += [f"Is {noun} {kind} or {other}?", f"Is {noun} {other} or {kind}?"]
            made.append(Fact(Sentence(noun, "is", kind), tuple(asks),
                             (f"Is {noun} {{v}}?",), tuple(others)))
    return made


def _sizes() -> list[Fact]:
    made = []
    for first in world.ANIMALS:
        for second in world.ANIMALS:
            if abs(int(first[9]) - int(second[9])) < 6:
                continue
            big, small = sorted((first, second), key=lambda row: -int(row[9]))
            pair = f"{first[0]} or {second[0]}"
            made.append(Fact(Sentence("the bigger one", "is", big[0]),
                             (f"Which is bigger, {pair}?", f"Which animal is bigger, {pair}?",
                              f"What is larger, {pair}?")))
            made.append(Fact(Sentence("the smaller one", "is", small[0]),
                             (f"Which is smaller, {pair}?", f"Which animal is smaller, {pair}?")))
    return made


def _numbers() -> list[Fact]:
    made = []
    for a in range(100):
        for b in range(100):
            if a == b:
                continue
            made.append(Fact(Sentence("the bigger number", "is", str(max(a, b))),
                             (f"Which number is bigger, {a} or {b}?", f"Which is more, {a} or {b}?")))
            made.append(Fact(Sentence("the smaller number", "is", str(min(a, b))),
                             (f"Which number is smaller, {a} or {b}?", f"Which is less, {a} or {b}?")))
    return made


def _jobs() -> list[Fact]:
    made = []
    for noun, verb, stem, thing, _ in world.JOBS:
        made.append(Fact(Sentence(noun, verb, thing), (
            f"What does {noun} do?", f"What does {noun} {stem}?", f"What is the work of {noun}?",
            f"Tell me what {noun} does.")))
        made.append(Fact(Sentence(f"the one who {verb} {thing}", "is", noun), (
            f"Who {verb} {thing}?", f"Which job {verb} {thing}?",
            f"What do you call someone who {verb} {thing}?")))
    return made


def _abilities() -> Iterator[tuple[str, Question]]:
    for row in world.ANIMALS:
        for index, verb in ((7, "fly"), (8, "swim")):
            able = row[index] == "yes"
            answer = Sentence(row[0], "can" if able else "cannot", verb, "Yes" if able else "No")
            for ask in (f"Can {row[0]} {verb}?", f"Is {row[0]} able to {verb}?",
                        f"Tell me if {row[0]} can {verb}."):
                yield "ability", Question(ask, answer, "animals", "ability")


@lru_cache(maxsize=1)
def facts() -> dict[str, tuple[str, float, list[Fact]]]:
    """Give relation -> (topic, weight in the draw, facts)."""
    animal, food, thing, land = world.ANIMALS, world.FOODS, world.THINGS, world.COUNTRIES
    table: dict[str, tuple[str, float, list[Fact]]] = {
        "color": ("food", 1.2, _facts(
            "{a}", "is", "{v}",
            "what color is {a}?|what is the color of {a}?|tell me the color of {a}.|"
            "which color does {a} have?|what color does {a} have?", "is {a} {v}?",
            _column(food, 1))),
        "taste": ("food", 0.8, _facts(
            "{a}", "tastes", "{v}", "how does {a} taste?|what does {a} taste like?|"
            "what is the taste of {a}?|tell me how {a} tastes.", "does {a} taste {v}?",
            _column(food, 2))),
        "food kind": ("food", 0.6, _facts(
            "{a}", "is", "{v}", "what kind of food is {a}?|what type of food is {a}?|"
            "which kind of food is {a}?", "is {a} {v}?", _column(food, 3))),
        "sound": ("animals", 1.0, _facts(
            "{a}", "says", "{v}", "what does {a} say?|what sound does {a} make?|"
            "what is the sound of {a}?|which sound does {a} make?", "does {a} say {v}?",
            _column(animal, 1))),
        "home": ("animals", 1.0, _facts(
            "{a}", "lives", "{v}", "where does {a} live?|where is the home of {a}?|"
            "where can I find {a}?|tell me where {a} lives.", "does {a} live {v}?",
            _column(animal, 2))),
        "diet": ("animals", 1.0, _facts(
            "{a}", "eats", "{v}", "what does {a} eat?|what is the food of {a}?|"
            "what does {a} like to eat?|tell me what {a} eats.", "does {a} eat {v}?",
            _column(animal, 3))),
        "legs": ("animals", 0.8, _facts(
            "{a}", "has", "{v} legs", "how many legs does {a} have?|"
            "what is the number of legs of {a}?|count the legs of {a}.", "does {a} have {v}?",
            _column(animal, 4))),
        "young": ("animals", 0.7, _facts(
            "a baby {e}", "is called", "{v}", "what is a baby {e} called?|"
            "what do you call a baby {e}?|what is the name for a young {e}?", "",
            _column(animal, 5))),
        "class": ("animals", 0.8, _facts(
            "{a}", "is", "{v}", "what kind of animal is {a}?|what type of animal is {a}?|"
            "which kind of animal is {a}?", "is {a} {v}?", _column(animal, 6))),
        "use": ("objects", 1.2, _facts(
            "{a}", "is", "for {v}", "what is {a} for?|what is {a} used for?|"
            "what do people use {a} for?|what is the use of {a}?|tell me what {a} is for.",
            "is {a} {v}?", _column(thing, 1))),
        "place": ("objects", 1.0, _facts(
            "{a}", "belongs", "{v}", "where does {a} belong?|where do I find {a}?|"
            "where do people keep {a}?|where should I put {a}?", "does {a} belong {v}?",
            _column(thing, 2))),
        "material": ("objects", 0.9, _facts(
            "{a}", "is made", "of {v}", "what is {a} made of?|what material is {a} made of?|"
            "which material is {a} made of?|tell me what {a} is made of.", "is {a} made {v}?",
            _column(thing, 3))),
        "capital": ("countries", 1.3, _facts(
            "the capital of {a}", "is", "{v}", "what is the capital of {a}?|"
            "which city is the capital of {a}?|tell me the capital of {a}.|"
            "name the capital of {a}.|do you know the capital of {a}?",
            "is the capital of {a} {v}?", _column(land, 1))),
        "continent": ("countries", 0.8, _facts(
            "{a}", "is", "in {v}", "where is {a}?|which continent is {a} in?|"
            "on which continent is {a}?", "is {a} {v}?", _column(land, 2))),
        "language": ("countries", 0.8, _facts(
            "people in {a}", "speak", "{v}", "which language do people in {a} speak?|"
            "what language do people speak in {a}?|what do people speak in {a}?",
            "do people in {a} speak {v}?", _column(land, 3))),
        "country": ("countries", 0.7, _facts(
            "the country with the capital {a}", "is", "{v}", "which country has the capital {a}?|"
            "{a} is the capital of which country?|what country is {a} the capital of?", "",
            [(row[1], row[0]) for row in land])),
        "job": ("jobs", 1.1, _jobs()),
        "workplace": ("jobs", 0.7, _facts(
            "{a}", "works", "{v}", "where does {a} work?|where is the workplace of {a}?|"
            "tell me where {a} works.", "does {a} work {v}?",
            [(row[0], row[4]) for row in world.JOBS])),
        "opposite": ("words", 1.0, _facts(
            "the opposite of {a}", "is", "{v}", "what is the opposite of {a}?|"
            "which word is the opposite of {a}?|tell me the opposite of {a}.|"
            "name the opposite of {a}.", "is {v} the opposite of {a}?",
            [pair for a, b in world.OPPOSITES for pair in ((a, b), (b, a))])),
        "past": ("words", 0.6, _facts(
            "the past tense of {a}", "is", "{v}", "what is the past tense of {a}?|"
            "tell me the past tense of {a}.|give me the past tense of {a}.", "",
            list(world.PAST_TENSES))),
        "plural": ("words", 0.6, _facts(
            "the plural of {a}", "is", "{v}", "what is the plural of {a}?|"
            "tell me the plural of {a}.|give me the plural of {a}.", "", list(world.PLURALS))),
        "kind": ("", 1.6, _kinds()),
        "size": ("animals", 1.2, _sizes()),
        "compare": ("numbers", 1.0, _numbers()),
        "day": ("words", 0.4, _sequence("day", world.DAYS)),
        "month": ("words", 0.4, _sequence("month", world.MONTHS)),
        "letter": ("words", 0.5, _sequence("letter", world.LETTERS)),
        "next": ("numbers", 0.6, _sequence("number", [str(n) for n in range(101)])),
    }
    for relation, fact in _arithmetic():
        table.setdefault(relation, ("numbers", {"sum": 1.7}.get(relation, 1.3), []))[2].append(fact)
    return table


def _yes_no(fact: Fact, template: str, value: str) -> tuple[str, Sentence]:
    s = fact.sentence
    lead = "Yes" if value == s.complement else "No"
    return template.replace("{v}", value), Sentence(s.subject, s.verb, s.complement, lead)


def draw(rng: random.Random, *, exam: bool = False, topic: str = "") -> Question:
    """Draw one plain question from the training side, or from the exam's."""
    while True:
        question = _draw(rng, topic)
        if held_out(question.text) == exam:
            return question


_ABILITIES: list[Question] = [question for _, question in _abilities()]


@lru_cache(maxsize=16)
def _menu(topic: str) -> tuple[list[str], list[float]]:
    rows = [(name, weight) for name, (kind, weight, _) in facts().items()
            if not topic or kind == topic]
    if topic in ("", "animals"):
        rows.append(("ability", 0.8))
    return [name for name, _ in rows], [weight for _, weight in rows]


def _draw(rng: random.Random, topic: str) -> Question:
    relation = rng.choices(*_menu(topic))[0]
    if relation == "ability":
        return rng.choice(_ABILITIES)
    kind, _, rows = facts()[relation]
    fact = rng.choice(rows)
    if fact.yes_no and rng.random() < 0.28:
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
