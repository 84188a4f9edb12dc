"""What nobody taught the model: requests from outside its world, and how people really type.

It says that it does not know, instead of something fluent and wrong.
"""

from __future__ import annotations

import random
from functools import lru_cache

from tinyworld import entities as world
from tinyworld.names import english, held_out, number
from tinyworld.names import name as invent
from tinyworld.sentences import Question, Sentence

DO_NOT_KNOW = Sentence("I", "do not know", "that")
_REQUESTS = (
    "Tell me a joke.",
    "Tell me a joke about a {x}.",
    "Tell me a story about {n}.",
    "Write a poem about the {x}.",
    "Write a letter to {n}.",
    "Sing a song about the {x}.",
    "What is the meaning of {x}?",
    "What is the meaning of life?",
    "Who invented the {x}?",
    "Who found the {x}?",
    "Why is the {x} so {y}?",
    "Why do people like {x}?",
    "Why is that?",
    "How far is it to {n}?",
    "How do I make a {x}?",
    "How do I get to {n}?",
    "How does a {x} work?",
    "How tall is {n}?",
    "How many {x} are there?",
    "How much is the {x} of {n}?",
    "What is the best {x}?",
    "What is a {x}?",
    "What is {x}?",
    "What does {x} mean?",
    "What is the difference between {x} and {y}?",
    "What happened in {d}?",
    "What did {n} say?",
    "What is the weather today?",
    "What is the time?",
    "What time is it?",
    "What day is it today?",
    "What should I do about my {x}?",
    "What do you think about {x}?",
    "What do you think of {n}?",
    "Where is {n}?",
    "Where can I buy a {x}?",
    "Who is {n}?",
    "Who is the {x} of the {y}?",
    "Who won the {x}?",
    "Who wrote {n}?",
    "When did {n} begin?",
    "When is the next {x}?",
    "Which {x} is the best?",
    "Explain {x} to me.",
    "Explain how {x} and {y} work.",
    "Give me a recipe with {x}.",
    "Give me a list of {x}.",
    "Give me some advice.",
    "Translate {x} into {y}.",
    "Help me with my {x}.",
    "Can you help me with a {x}?",
    "Can you write code?",
    "Do you like {x}?",
    "Do you know {n}?",
    "Is {n} a good {x}?",
    "Is the {x} {y}?",
    "Will it rain tomorrow?",
    "Are you happy?",
    "Do you sleep?",
    "Count to {d}.",
    "Describe the {x}.",
    "Compare {x} with {y}.",
    "What is {d} plus {e}?",
    "What is {d} times {e}?",
    "What is {d} minus {e}?",
)


def outside_request(rng: random.Random, *, exam: bool = False) -> Question:
    """Draw a request that the world has no answer to."""
    while True:
        question = _outside_request(rng, exam)
        if held_out(question.text) == exam:
            return question


def _outside_request(rng: random.Random, exam: bool) -> Question:
    text = rng.choice(_REQUESTS)
    topic = "numbers" if "{e}" in text else ""
    thing = rng.choice(_things(exam))
    if thing[0] in "aeiou":
        text = text.replace(" a {x}", " an {x}")
    for slot, value in (
        ("{x}", lambda: thing),
        ("{y}", lambda: rng.choice(_things(exam))),
        ("{n}", lambda: invent(rng, exam=exam)),
        ("{d}", lambda: number(rng, 120, 2100)),
        ("{e}", lambda: number(rng, 120, 2100)),
    ):
        if slot in text:
            text = text.replace(slot, value())
    return Question(text, DO_NOT_KNOW, topic, "outside")


@lru_cache(maxsize=2)
def _things(exam: bool) -> tuple[str, ...]:
    """List the English words that the world has no fact about."""
    tables = (world.ANIMALS, world.FOODS, world.THINGS, world.JOBS, world.NATURE)
    known = {word for rows in tables for row in rows for cell in row for word in cell.split()}
    return tuple(word for word in english(exam) if len(word) > 4 and word not in known)


_BEFORE = ("Please: ", "Hey, ", "Hi! ", "Hello! ", "So, ", "Ok. ", "Quick question: ", "And ")
_SHORTER = (
    ("What is ", "What's "),
    ("Where is ", "Where's "),
    ("Who is ", "Who's "),
    ("I am ", "I'm "),
    (" plus ", "+"),
    (" + ", "+"),
    (" minus ", "-"),
    (" - ", "-"),
    (" does not ", " doesn't "),
    ("Tell me ", "Say "),
    ("Tell me ", "Can you tell me "),
    ("Tell me ", "I want to know "),
)


def typed(rng: random.Random, text: str) -> str:
    """Write a question as people type it: in a hurry, or with more words."""
    for long, short in _SHORTER:
        if long in text and rng.random() < 0.4:
            text = text.replace(long, short, 1)
            break
    if rng.random() < 0.2:
        text = rng.choice(_BEFORE) + _lower_first(text)
    elif rng.random() < 0.6:
        text = _lower_first(text)
    luck = rng.random()
    if luck < 0.5:
        text = text.rstrip(".?!")
    elif luck < 0.6:
        text = (
            f"{text.rstrip('.?!')}{rng.choice(('??', '?!', ' ?', ' please', ', please?', '...'))}"
        )
    return text


def _lower_first(text: str) -> str:
    """Begin in lower case, but for a first word that has a capital of its own."""
    first = text.split(" ", 1)[0].rstrip("?!.,")
    return text[0].lower() + text[1:] if first in _OPENING else text


_OPENING = frozenset(
    [
        "What",
        "What's",
        "Where",
        "Where's",
        "Who",
        "Who's",
        "Which",
        "When",
        "Why",
        "How",
        "Is",
        "Does",
        "Do",
        "Can",
        "Tell",
        "Say",
        "Name",
        "Give",
        "Count",
        "Add",
        "Subtract",
        "Multiply",
        "Calculate",
        "Hello",
        "Hi",
        "Good",
        "Thank",
        "Thanks",
        "Goodbye",
        "Your",
        "At",
        "In",
        "My",
    ]
)
