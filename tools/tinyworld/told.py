"""Facts that only a prompt or a user can know, the questions they answer, and "I do not know".

How they are worded in a prompt is in `prompts`; what the world itself knows is in `relations`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from tinyworld import entities
from tinyworld.names import name as invent
from tinyworld.names import number, word
from tinyworld.sentences import Question, Sentence


@dataclass(frozen=True, slots=True)
class Told:
    """A fact as it is given, the answer it makes true, and what is said without it."""

    given: str
    sentence: Sentence
    asks: tuple[str, ...]
    unknown: str
    topic: str = ""

    def question(self, rng: random.Random) -> Question:
        return Question(rng.choice(self.asks), self.sentence, self.topic, "told")

    def unknown_question(self, rng: random.Random) -> Question:
        return Question(
            rng.choice(self.asks), Sentence("I", "do not know", self.unknown), self.topic, "unknown"
        )

    def key(self) -> tuple[str, str]:
        return self.sentence.subject, self.sentence.verb


# As given (empty: the sentence itself) | subject | verb | complement | what is unknown | questions
_OTHERS = """
|the capital of {who}|is|{other}|the capital of {who}|What is the capital of {who}?/\
Tell me the capital of {who}./Which city is the capital of {who}?/Name the capital of {who}.
|{who}|lives|in {place}|where {who} lives|Where does {who} live?/Tell me where {who} lives./\
Where is the home of {who}?
|{who}|is|{job}|the job of {who}|What is the job of {who}?/What job does {who} have?/\
Tell me the job of {who}.
|{who}|is|{number} years old|the age of {who}|How old is {who}?/What is the age of {who}?/\
Tell me the age of {who}.
|the {kin} of {who}|is called|{other}|the {kin} of {who}|What is the {kin} of {who} called?/\
What is the name of the {kin} of {who}?/Tell me the name of the {kin} of {who}.
|a {thing}|is|{color}|the color of a {thing}|What color is a {thing}?/\
What is the color of a {thing}?/Tell me the color of a {thing}.
|the favorite color of {who}|is|{color}|the favorite color of {who}|\
What is the favorite color of {who}?/Which color does {who} like best?
|{who}|likes|{food}|what {who} likes|What does {who} like?/Which food does {who} like?/\
Tell me what {who} likes.
|the password of {who}|is|{secret}|the password of {who}|What is the password of {who}?/\
Tell me the password of {who}.
|the {shop} of {who}|opens|at {number}|when the {shop} of {who} opens|\
When does the {shop} of {who} open?/At what time does the {shop} of {who} open?
|a {thing}|costs|{number} coins|the price of a {thing}|How much does a {thing} cost?/\
What is the price of a {thing}?
|{who}|was born|in {month}|when {who} was born|When was {who} born?/\
In which month was {who} born?
|the boss of {who}|is|{other}|the boss of {who}|Who is the boss of {who}?/\
Tell me the boss of {who}.
|a {thing}|is|for {use}|what a {thing} is for|What is a {thing} for?/What is a {thing} used for?
"""
_SELF = """
You live in {place}.|I|live|in {place}|where I live|Where do you live?/Where is your home?
You come from {other}.|I|come|from {other}|where I come from|Where do you come from?/\
Where are you from?
Your favorite color is {color}.|my favorite color|is|{color}|my favorite color|\
What is your favorite color?/Which color do you like best?
You were born in {month}.|I|was born|in {month}|when I was born|When were you born?/\
In which month were you born?
You are {number} years old.|I|am|{number} years old|my age|How old are you?/What is your age?
Your boss is {other}.|my boss|is|{other}|my boss|Who is your boss?/Tell me who your boss is.
Your {kin} is called {other}.|my {kin}|is called|{other}|the name of my {kin}|\
What is your {kin} called?/What is the name of your {kin}?
You like {food}.|I|like|{food}|what I like|What do you like?/What do you like to eat?
"""
_USER = """
My name is {other}.|your name|is|{other}|your name|What is my name?/Tell me my name./\
Do you know my name?
I live in {place}.|you|live|in {place}|where you live|Where do I live?/Where is my home?
My favorite color is {color}.|your favorite color|is|{color}|your favorite color|\
What is my favorite color?/Which color do I like best?
I am {number} years old.|you|are|{number} years old|your age|How old am I?/What is my age?
My {kin} is called {other}.|your {kin}|is called|{other}|the name of your {kin}|\
What is my {kin} called?/What is the name of my {kin}?
I like {food}.|you|like|{food}|what you like|What do I like?/What do I like to eat?
My password is {secret}.|your password|is|{secret}|your password|What is my password?/\
Tell me my password.
"""


def _rows(text: str) -> list[list[str]]:
    return [line.split("|") for line in text.strip().splitlines()]


OTHERS, SELF, USER = _rows(_OTHERS), _rows(_SELF), _rows(_USER)


def _number(rng: random.Random) -> str:
    return number(rng, 2, 99) if rng.random() < 0.7 else number(rng, 100, 9999)


_VALUES: dict[str, Callable[[random.Random, bool], str]] = {
    "who": lambda rng, exam: invent(rng, exam=exam),
    "other": lambda rng, exam: invent(rng, exam=exam),
    "thing": lambda rng, exam: word(rng, exam=exam),
    "number": lambda rng, exam: _number(rng),
    "color": lambda rng, exam: rng.choice(entities.COLORS),
    "kin": lambda rng, exam: rng.choice(
        ("dog", "cat", "horse", "boss", "sister", "brother", "friend", "boat", "son")
    ),
    "shop": lambda rng, exam: rng.choice(
        ("shop", "office", "museum", "bank", "school", "market", "pool", "library")
    ),
    "job": lambda rng, exam: rng.choice(entities.JOBS)[0],
    "food": lambda rng, exam: rng.choice(entities.FOODS)[0].split(" ")[-1],
    "place": lambda rng, exam: (
        invent(rng, exam=exam) if rng.random() < 0.67 else rng.choice(entities.COUNTRIES)[1]
    ),
    "secret": lambda rng, exam: rng.choice(
        (_number(rng), invent(rng, exam=exam), word(rng, exam=exam))
    ),
    "month": lambda rng, exam: rng.choice(entities.MONTHS),
    "use": lambda rng, exam: rng.choice(entities.THINGS)[1],
}
_SLOT = re.compile(r"\{(\w+)\}")


def told(rng: random.Random, *, exam: bool = False, rows: list[list[str]] | None = None) -> Told:
    """Invent a fact; its names come from the training side or from the exam's."""
    if rows is None:
        rows = OTHERS if exam or rng.random() < 0.75 else SELF
    row = rng.choice(rows)
    values = {key: _VALUES[key](rng, exam) for key in dict.fromkeys(_SLOT.findall("|".join(row)))}
    given, subject, verb, complement, unknown, asks = (
        _SLOT.sub(lambda match: values[match[1]], cell) for cell in row
    )
    sentence = Sentence(subject, verb, complement)
    return Told(given or sentence.plain(), sentence, tuple(asks.split("/")), unknown)
