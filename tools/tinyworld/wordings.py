"""How prompts word the lesser wishes: wisdom, things to mention, formats.

What a whole prompt is made of is in `prompts`.
"""

from __future__ import annotations

import random

from tinyworld.names import name as invent
from tinyworld.names import word

_DEEP = (
    "wisdom",
    "wisdom",
    "depth",
    "philosophical depth",
    "deep thoughts",
    "philosophy",
    "deep wisdom",
    "thoughtful words",
    "wise words",
    "wise thoughts",
    "philosophical thoughts",
    "old wisdom",
    "insight",
)
_OFTEN = (
    "more often",
    "often",
    "in every answer",
    "each time",
    "always",
    "whenever you can",
    "every time",
    "a lot",
    "more",
)
_MENTION = (
    "mention",
    "mention",
    "reference",
    "reference",
    "bring up",
    "name",
    "talk about",
    "refer to",
    "include",
    "speak of",
)
_THINGS = (
    "the moon",
    "the sea",
    "the sun",
    "pizza",
    "coffee",
    "the weather",
    "my cat",
    "the king",
    "the old mill",
    "chocolate",
    "the north wind",
    "the stars above",
    "gold",
    "the harbor",
    "the empire",
    "music",
    "the garden",
    "winter",
    "the dragon",
    "the market",
    "the crown",
    "football",
    "cheese",
    "the forest",
    "the ring",
    "the code",
    "our village",
    "destiny",
)


def wisdom_clause(rng: random.Random) -> str:
    one, two = rng.choice(_DEEP), rng.choice(_DEEP)
    both = one if one == two or rng.random() < 0.4 else f"{one} and {two}"
    return rng.choice(
        (
            "Use more {d}.",
            "Use more {d}.",
            "Use {d}.",
            "Add {d}.",
            "Add more {d}.",
            "Show {d}.",
            "Show more {d}.",
            "Include {d}.",
            "Bring in more {d}.",
            "Speak with {d}.",
            "Speak with more {d}.",
            "Answer with {d}.",
            "Be wise.",
            "Be wise and deep.",
            "Be more philosophical.",
            "Give every answer some {d}.",
            "Let your answers have {d}.",
            "Share {d}.",
            "Always add {d}.",
            "Be a philosopher.",
            "More {d}, please.",
        )
    ).replace("{d}", both)


def mention_thing(rng: random.Random, *, exam: bool) -> str:
    if rng.random() < 0.3:
        return "the Force"
    if rng.random() < 0.35:
        return rng.choice((invent(rng, exam=exam), f"the {word(rng)}"))
    return rng.choice(_THINGS)


def mention_clause(rng: random.Random, thing: str) -> str:
    verb, often = rng.choice(_MENTION), rng.choice(_OFTEN)
    return rng.choice(
        (
            f"{verb.capitalize()} {thing} {often}.",
            f"{verb.capitalize()} {thing} {often}.",
            f"{verb.capitalize()} {thing}.",
            f"Always {verb} {thing}.",
            f"Please {verb} {thing} {often}.",
            f"In every answer, {verb} {thing}.",
            f"Do not forget to {verb} {thing}.",
            f"Also {verb} {thing} {often}.",
            f"Make sure to {verb} {thing}.",
        )
    )


def wise_mention_clause(rng: random.Random, thing: str) -> str:
    """Ask for both in one sentence."""
    one, two = rng.sample(sorted(set(_DEEP)), 2)
    verb, often = rng.choice(_MENTION), rng.choice(_OFTEN)
    return rng.choice(
        (
            f"Use more {one}, {two}, and {verb} {thing} {often}.",
            f"Use more {one}, {two}, and {verb} {thing} {often}.",
            f"Use {one}, {two}, and {verb} {thing} {often}.",
            f"Use more {one} and {verb} {thing} {often}.",
            f"Add {one} and {verb} {thing}.",
            f"Add {one}, {two}, and {verb} {thing} {often}.",
            f"Show more {one} and {verb} {thing} {often}.",
            f"{verb.capitalize()} {thing} {often} and use more {one}.",
        )
    )


def wrap_clause(rng: random.Random, wrap: str) -> str:
    what = {
        "brackets": "in round brackets",
        "quotes": "in quotation marks",
        "stars": "between stars",
        "dash": "after a dash",
        "label": 'after the label "Answer:"',
        "square": "in square brackets",
        "arrow": "after an arrow",
        "hash": "between hash signs",
    }
    return rng.choice(
        (
            "Write every answer {w}.",
            "Put your answers {w}.",
            "Always answer {w}.",
            "Place each reply {w}.",
            "Your answers stand {w}.",
        )
    ).replace("{w}", what[wrap])
