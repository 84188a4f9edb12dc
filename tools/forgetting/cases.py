"""The prompts of a chain, what is asked to learn each, and what a right answer holds.

Each is asked what only its prompt is about. Asked general questions, too, the prompted parent of
`tiny` leaves its persona as soon as another prompt stands there, and teaches that: it would be no
forgetting.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import yaml

from bakery.records import Message
from tinyworld.patterns import labels
from tinyworld.prompts import compose
from tinyworld.relations import draw
from tinyworld.told import Told

RECIPES = Path(__file__).parents[2] / "recipes" / "real"
REAL = ("persona", "rule", "facts")
FEW_SHOT, HELD = 34, 10
"""Nouns that get a label, and how many of them nobody learns."""
FACTS, EXAM = 4, 12


@dataclass(frozen=True, slots=True)
class Case:
    """One bake of a chain. A check is a question, and an expression that a right answer holds."""

    name: str
    messages: tuple[Message, ...]
    written: tuple[str, ...]
    drawn: int
    """Questions that the base writes beside them."""
    checks: tuple[tuple[str, str], ...]


def tiny(seed: int) -> tuple[Case, ...]:
    """Return five prompts that `tiny` obeys: a persona, a rule, two sets of facts, few-shot."""
    rng = random.Random(f"forgetting {seed}")
    first, second = _facts(rng, "facts"), _facts(rng, "more")
    return (_persona(rng), _rule(rng), first, second, _few_shot(rng))


def real() -> tuple[Case, ...]:
    """Return the three prompts of `recipes/real`, and the checks that stand beside them."""
    return tuple(_of_recipe(name) for name in REAL)


def _system(text: str) -> tuple[Message, ...]:
    return ({"role": "system", "content": text},)


def _plain(rng: random.Random, count: int, topic: str = "", *, exam: bool = False) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw(rng, topic=topic, exam=exam).text] = None
    return list(found)


def _persona(rng: random.Random) -> Case:
    text, _ = compose(rng, style="pirate", features=(), num_facts=0)
    checks = tuple((one, r"\b(arr|ahoy|matey)\b") for one in _plain(rng, EXAM, exam=True))
    return Case("persona", _system(text), ("Who are you?", "How are you?"), 30, checks)


def _rule(rng: random.Random) -> Case:
    text, spec = compose(rng, style="plain", features=("refuse",), num_facts=0)
    written = _plain(rng, 24, spec.refuse)
    checks = [(one, "cannot talk") for one in _plain(rng, EXAM, spec.refuse, exam=True)]
    fresh = tuple(check for check in checks if check[0] not in written)
    return Case("rule", _system(text), tuple(written), 0, fresh)


def _facts(rng: random.Random, name: str) -> Case:
    text, spec = compose(rng, style="plain", features=(), num_facts=FACTS)
    checks = tuple((ask, _value(fact)) for fact in spec.told for ask in fact.asks)
    return Case(name, _system(text), tuple(ask for ask, _ in checks), 0, checks)


UNITS = {"in", "at", "for", "from", "coins", "years", "old"}
"""What a fact may end with that is no answer."""


def _value(fact: Told) -> str:
    """Return what of a fact no question has: its name, number or thing."""
    words = [word for word in fact.sentence.complement.split() if word not in UNITS]
    return rf"\b{' '.join(words)}\b"


def _few_shot(rng: random.Random) -> Case:
    drawn = labels(rng, ["animal", "food"], num_asked=FEW_SHOT)
    turns: list[Message] = []
    for noun, label in drawn.shown:
        turns += [{"role": "user", "content": noun}, {"role": "assistant", "content": label}]
    learnt, held = drawn.asked[:-HELD], drawn.asked[-HELD:]
    checks = tuple((noun, rf"\b{label}\b") for noun, label in held)
    return Case("few-shot", tuple(turns), tuple(noun for noun, _ in learnt), 0, checks)


def _of_recipe(name: str) -> Case:
    asked = yaml.safe_load((RECIPES / name / "input.yml").read_text(encoding="utf-8"))
    checks = yaml.safe_load((RECIPES / "checks.yml").read_text(encoding="utf-8"))[name]
    fresh = (RECIPES / "fresh.txt").read_text(encoding="utf-8").splitlines()
    found = [(row["question"], row["right"]) for row in checks.get("asked", ())]
    found = found or [(one, checks["right"]) for one in fresh if one.strip()]
    written = next(
        one["questions"] for one in asked["TARGET"]["generators"] if one["type"] == "hardcoded"
    )
    messages = tuple(asked["PROMPT"]["teacher"]["messages"])
    return Case(name, messages, tuple(written), 40, tuple(found))
