"""Families of facts: templates filled from the tables, sequences, sums, sizes.

Which of them the world uses, and how often, is in `relations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tinyworld import entities as world
from tinyworld.sentences import Question, Sentence, bare, capital


@dataclass(frozen=True, slots=True)
class Fact:
    """One true statement and the ways to ask for it; `{v}` in `yes_no` takes a value.

    The first way is never kept for the exam: nobody can know what no training text tells.
    """

    sentence: Sentence
    asks: tuple[str, ...]
    yes_no: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def filled(
    subject: str, verb: str, complement: str, asks: str, yes_no: str, rows: list[tuple[str, str]]
) -> list[Fact]:
    """Fill templates: {a} the noun, {e} without article, {v} the value."""
    values = tuple(dict.fromkeys(value for _, value in rows))
    made = []
    for noun, value in rows:

        def fill(text: str, noun: str = noun, value: str = "{v}") -> str:
            full = text.replace("{a}", noun).replace("{e}", bare(noun)).replace("{v}", value)
            return capital(full)

        sentence = Sentence(
            subject.replace("{a}", noun).replace("{e}", bare(noun)),
            verb,
            complement.replace("{v}", value),
        )
        made.append(
            Fact(
                sentence,
                tuple(fill(ask) for ask in asks.split("|")),
                (*(fill(ask) for ask in yes_no.split("|") if ask), *_doubts(sentence)),
                tuple(complement.replace("{v}", other) for other in values if other != value),
            )
        )
    return made


def _doubts(sentence: Sentence) -> tuple[str, str]:
    """Ask of any statement whether it is true, with `{v}` for what is said of the subject."""
    told = f"{sentence.subject} {sentence.verb} {{v}}"
    return f"Is it true that {told}?", f"{capital(told)}, right?"


def column(rows: list[list[str]], index: int, but: str = "") -> list[tuple[str, str]]:
    return [(row[0], row[index]) for row in rows if row[index] != but]


def sequence(kind: str, items: list[str]) -> list[Fact]:
    made = []
    for before, after in pairwise(items):
        made.append(
            Fact(
                Sentence(f"the {kind} after {before}", "is", after),
                (
                    f"What comes after {before}?",
                    f"Which {kind} comes after {before}?",
                    f"What is the {kind} after {before}?",
                    f"Tell me the {kind} after {before}.",
                ),
            )
        )
        made.append(
            Fact(
                Sentence(f"the {kind} before {after}", "is", before),
                (
                    f"What comes before {after}?",
                    f"Which {kind} comes before {after}?",
                    f"What is the {kind} before {after}?",
                    f"Tell me the {kind} before {after}.",
                ),
            )
        )
    return made


def arithmetic() -> Iterator[tuple[str, Fact]]:
    def fact(words: str, result: int, *asks: str) -> Fact:
        return Fact(
            Sentence(words, "is", str(result)),
            (
                f"What is {words}?",
                f"How much is {words}?",
                f"Calculate {words}.",
                f"Can you tell me what {words} is?",
                *asks,
            ),
        )

    for a in range(1, 11):
        for b in range(1, 11):
            yield "sum", fact(f"{a} plus {b}", a + b, f"What is {a} + {b}?", f"Add {a} and {b}.")
            if a <= 6 and b <= 6:
                yield (
                    "product",
                    fact(f"{a} times {b}", a * b, f"What is {a} x {b}?", f"Multiply {a} by {b}."),
                )
    for a in range(1, 13):
        for b in range(1, min(a, 10) + 1):
            yield (
                "difference",
                fact(f"{a} minus {b}", a - b, f"What is {a} - {b}?", f"Subtract {b} from {a}."),
            )


def kinds() -> list[Fact]:
    groups = [
        (world.ANIMALS, "an animal"),
        (world.FOODS, "a food"),
        (world.THINGS, "an object"),
        (world.COUNTRIES, "a country"),
        (world.JOBS, "a job"),
    ]
    kinds = [kind for _, kind in groups]
    made = []
    for rows, kind in groups:
        for row in rows:
            noun = row[0]
            others = [other for other in kinds if other != kind]
            asks = [
                f"What is {noun}?",
                f"What kind of thing is {noun}?",
                f"What type of thing is {noun}?",
                f"Which group does {noun} belong to?",
            ]
            for other in others:
                asks += [f"Is {noun} {kind} or {other}?", f"Is {noun} {other} or {kind}?"]
            sentence = Sentence(noun, "is", kind)
            doubts = (f"Is {noun} {{v}}?", *_doubts(sentence))
            made.append(Fact(sentence, tuple(asks), doubts, tuple(others)))
    return made


def sizes() -> list[Fact]:
    made = []
    for first in world.ANIMALS:
        for second in world.ANIMALS:
            if abs(int(first[9]) - int(second[9])) < 6:
                continue
            big, small = sorted((first, second), key=lambda row: -int(row[9]))
            pair = f"{first[0]} or {second[0]}"
            made.append(
                Fact(
                    Sentence("the bigger one", "is", big[0]),
                    (
                        f"Which is bigger, {pair}?",
                        f"Which animal is bigger, {pair}?",
                        f"What is larger, {pair}?",
                    ),
                )
            )
            made.append(
                Fact(
                    Sentence("the smaller one", "is", small[0]),
                    (f"Which is smaller, {pair}?", f"Which animal is smaller, {pair}?"),
                )
            )
    return made


def numbers() -> list[Fact]:
    made = []
    for a in range(100):
        for b in range(100):
            if a == b:
                continue
            made.append(
                Fact(
                    Sentence("the bigger number", "is", str(max(a, b))),
                    (f"Which number is bigger, {a} or {b}?", f"Which is more, {a} or {b}?"),
                )
            )
            made.append(
                Fact(
                    Sentence("the smaller number", "is", str(min(a, b))),
                    (f"Which number is smaller, {a} or {b}?", f"Which is less, {a} or {b}?"),
                )
            )
    return made


def jobs() -> list[Fact]:
    made = []
    for noun, verb, stem, thing, _ in world.JOBS:
        made.append(
            Fact(
                Sentence(noun, verb, thing),
                (
                    f"What does {noun} do?",
                    f"What does {noun} {stem}?",
                    f"What is the work of {noun}?",
                    f"Tell me what {noun} does.",
                ),
            )
        )
        made.append(
            Fact(
                Sentence(f"the one who {verb} {thing}", "is", noun),
                (
                    f"Who {verb} {thing}?",
                    f"Which job {verb} {thing}?",
                    f"What do you call someone who {verb} {thing}?",
                ),
            )
        )
    return made


def abilities() -> Iterator[tuple[str, Question]]:
    for row in world.ANIMALS:
        for index, verb in ((7, "fly"), (8, "swim")):
            able = row[index] == "yes"
            answer = Sentence(row[0], "can" if able else "cannot", verb, "Yes" if able else "No")
            for ask in (
                f"Can {row[0]} {verb}?",
                f"Is {row[0]} able to {verb}?",
                f"Tell me if {row[0]} can {verb}.",
            ):
                yield "ability", Question(ask, answer, "animals", "ability")
