"""Patterns shown by example or by rule: made-up labels, wrappings, functions of words.

Each gives a list of inputs with their outputs; how it becomes a chat is in `chats`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

from tinyworld import entities as world
from tinyworld.names import english, held_out, spelled, word
from tinyworld.names import name as invent
from tinyworld.relations import draw
from tinyworld.sentences import capital

CATEGORIES: dict[str, list[str]] = {
    "animal": [row[0] for row in world.ANIMALS],
    "food": [row[0] for row in world.FOODS],
    "object": [row[0] for row in world.THINGS],
    "country": [row[0] for row in world.COUNTRIES],
    "job": [row[0] for row in world.JOBS],
    "city": [row[1] for row in world.COUNTRIES],
    "color": list(world.COLORS),
    "number": [str(number) for number in range(101)],
}
CATEGORY_PAIRS = tuple(combinations(CATEGORIES, 2))
KINDS = ("labels", "wrapping", "function")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Examples that show a pattern, then more inputs with the outputs that follow it."""

    shown: list[tuple[str, str]]
    asked: list[tuple[str, str]]
    rule: str = ""


def pattern(rng: random.Random, kind: str, *, exam: bool = False, num_asked: int = 1) -> Pattern:
    """Draw a pattern of one of `KINDS`."""
    if kind == "labels":
        size = 2 if rng.random() < 0.85 else 3
        return labels(rng, rng.sample(sorted(CATEGORIES), size), exam=exam, num_asked=num_asked)
    size = rng.choice((3, 4, 5))
    if kind == "function":
        return applied(rng, size, exam=exam, num_asked=num_asked)
    rows = wrapped(rng, exam=exam)
    drawn: dict[str, str] = {}
    while len(drawn) < size + num_asked:
        drawn.update([rows()])
    pairs = list(drawn.items())
    return Pattern(pairs[:size], pairs[size:])


def labels(
    rng: random.Random, categories: list[str], *, exam: bool = False, num_asked: int = 1
) -> Pattern:
    """Give each category a label that means nothing."""
    label = dict(zip(categories, _label_words(rng, len(categories), exam), strict=True))
    shown: list[tuple[str, str]] = []
    asked: list[tuple[str, str]] = []
    drawn = {kind: rng.sample(CATEGORIES[kind], 4 + num_asked) for kind in categories}
    for kind in categories:
        shown += [(noun, label[kind]) for noun in drawn[kind][: rng.choice((2, 2, 3))]]
    for index in range(num_asked):
        kind = rng.choice(categories)
        asked.append((drawn[kind][4 + index], label[kind]))
    rng.shuffle(shown)
    rules = [
        rng.choice(_RULES).replace("{k}", _article(kind)).replace("{l}", label[kind])
        for kind in categories
    ]
    return Pattern(shown, asked, " ".join(rules))


_RULES = (
    'If the user names {k}, answer "{l}".',
    "If it is {k}, say {l}.",
    'Say "{l}" to {k}.',
    "For {k} the answer is {l}.",
)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "ao" else f"a {kind}"


def _label_words(rng: random.Random, count: int, exam: bool) -> list[str]:
    way = rng.random()
    made: dict[str, None] = {}
    while len(made) < count:
        if exam:
            made[invent(rng, exam=True).lower()] = None
        elif way < 0.5:
            made[word(rng)] = None
        elif way < 0.65:
            made[spelled(rng)] = None
        elif way < 0.8:
            made[rng.choice(english(False))] = None
        elif way < 0.9:
            made[invent(rng)] = None
        else:
            made[rng.choice("ABCDEFGHXYZ123456789")] = None
    return list(made)


def wrapped(rng: random.Random, *, exam: bool = False):
    """Answer questions with the bare answer between words that mean nothing."""
    way = rng.choice(("both", "both", "before", "after"))
    before, after = (_odd(rng, exam) for _ in range(2))

    def row() -> tuple[str, str]:
        while True:
            question = draw(rng, exam=exam)
            if not question.answer.lead:
                break
        parts = (
            before if way != "after" else "",
            question.answer.complement,
            after if way != "before" else "",
        )
        return question.text, " ".join(part for part in parts if part)

    return row


def _odd(rng: random.Random, exam: bool) -> str:
    if exam:
        return invent(rng, exam=True)
    return rng.choice((word, word, spelled, invent, invent))(rng)


def applied(rng: random.Random, size: int, *, exam: bool = False, num_asked: int = 1) -> Pattern:
    """Apply a function of words or numbers; the exam asks for inputs that are never trained."""
    known, kept = functions()[rng.choice(sorted(functions()))]
    style = rng.choice((str, str, str, capital))
    drawn = rng.sample(known, min(size + num_asked, len(known)))
    asked = rng.sample(kept, num_asked) if exam else drawn[size:]
    shown, asked = ([(style(a), style(b)) for a, b in rows] for rows in (drawn[:size], asked))
    return Pattern(shown, asked)


Rows = list[tuple[str, str]]


@lru_cache(maxsize=1)
def functions() -> dict[str, tuple[Rows, Rows]]:
    """Give each function of words as its inputs with their outputs: trained, and the exam's."""
    return {name: _parted(name, list(dict(rows).items())) for name, rows in _functions().items()}


def _parted(name: str, rows: Rows) -> tuple[Rows, Rows]:
    kept = [row for row in rows if held_out(f"{name} of {row[0]}")] or rows[-1:]
    return [row for row in rows if row not in kept], kept


def _functions() -> dict[str, Rows]:
    opposites = [pair for a, b in world.OPPOSITES for pair in ((a, b), (b, a))]
    animals = [row for row in world.ANIMALS if row[1] != "nothing"]
    singles = [noun for kind in ("animal", "food", "object") for noun in CATEGORIES[kind]]
    return {
        "opposite": opposites,
        "past": list(world.PAST_TENSES),
        "plural": list(world.PLURALS),
        "capital": [(row[0], row[1]) for row in world.COUNTRIES],
        "country": [(row[1], row[0]) for row in world.COUNTRIES],
        "language": [(row[0], row[3]) for row in world.COUNTRIES],
        "continent": [(row[0], row[2]) for row in world.COUNTRIES],
        "color": [(row[0], row[1]) for row in world.FOODS],
        "taste": [(row[0], row[2]) for row in world.FOODS],
        "sound": [(row[0], row[1]) for row in animals],
        "home": [(row[0], row[2]) for row in world.ANIMALS],
        "class": [(row[0], row[6]) for row in world.ANIMALS],
        "material": [(row[0], row[3]) for row in world.THINGS],
        "place": [(row[0], row[2]) for row in world.THINGS],
        "one more": [(str(n), str(n + 1)) for n in range(100)],
        "one less": [(str(n), str(n - 1)) for n in range(1, 101)],
        "twice": [(noun, f"{noun} {noun}") for noun in singles],
        "next month": list(pairwise(world.MONTHS)),
        "next letter": list(pairwise(world.LETTERS)),
        "same": [(noun, noun) for noun in singles],
    }
