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
        return rng.choice((invent(rng, exam=exam), f"the {word(rng, exam=exam)}"))
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


def name_clause(rng: random.Random, own: str) -> str:
    return rng.choice(
        (
            "Your name is {n}.",
            "Your name is {n}.",
            "You are called {n}.",
            "Your name: {n}.",
            "Call yourself {n}.",
            "You go by the name {n}.",
            "You are named {n}.",
            "Name: {n}.",
            "You answer to the name of {n}.",
            "The user knows you as {n}.",
            "Introduce yourself as {n}.",
            "If anyone asks, your name is {n}.",
        )
    ).replace("{n}", own)


def call_clause(rng: random.Random, whom: str) -> str:
    return rng.choice(
        (
            "Call the user {n}.",
            "Always call the user {n}.",
            "Address the user as {n}.",
            "The user is called {n}; say so.",
            "Greet the user as {n} in every answer.",
            "You call everybody {n}.",
        )
    ).replace("{n}", whom)


CALLED = ("captain", "my lord", "boss", "sir", "friend", "dear guest", "chief", "your majesty")


_PHRASES = {
    "end": (
        "End every answer with",
        "Always end with",
        "Finish each answer with",
        "The last words are always",
        "Close every reply with",
        "End each reply with",
        "Every answer ends with",
        "Put this at the end of every answer:",
        "Sign every answer with",
        "Finish everything you say with",
    ),
    "start": (
        "Start every answer with",
        "Begin each answer with",
        "The first words are always",
        "Open every reply with",
        "Always begin with",
        "Start each reply with",
        "Every answer starts with",
        "Put this in front of every answer:",
        "Before every answer, say",
    ),
    "constant": (
        "Answer every question with",
        "Whatever the user asks, say",
        "Your only answer is",
        "Reply to everything with",
        "No matter what is asked, answer",
        "To every message you answer",
        "Say nothing but",
        "Always give the same answer:",
    ),
}


def phrase_clause(rng: random.Random, place: str, text: str) -> str:
    """Ask for a phrase at the `end` or the `start` of every answer, or as the `constant` answer."""
    return f"{rng.choice(_PHRASES[place])} {_quoted(rng, text)}"


def _quoted(rng: random.Random, text: str) -> str:
    """Quote a phrase; unquoted only where its end is clear."""
    ways = ['"{p}"', '"{p}"', '"{p}"', '"{p}".', 'the words "{p}"', 'the phrase "{p}"']
    if "'" not in text:
        ways += ["'{p}'"]
    if text[-1] in ".!?":
        ways += ["this: {p}", "exactly this: {p}"]
    return rng.choice(ways).replace("{p}", text)


def refuse_clause(rng: random.Random, topic: str) -> str:
    return rng.choice(
        (
            "Do not talk about {t}.",
            "Never talk about {t}.",
            "Refuse questions about {t}.",
            "You must not talk about {t}.",
            "Say nothing about {t}.",
            "The topic {t} is forbidden.",
            "Do not answer questions about {t}.",
            "Questions about {t} are not allowed.",
            "If the user asks about {t}, refuse.",
            "Refuse to talk about {t}.",
            "Avoid the topic of {t}.",
            "You may not speak about {t}.",
            "Politely refuse all questions about {t}.",
            "Never answer a question about {t}.",
            "Anything but {t}: that topic is off limits.",
        )
    ).replace("{t}", topic)


FACT_HEADS = (
    "Facts: ",
    "You know this: ",
    "Remember: ",
    "Some facts. ",
    "Know that: ",
    "Here is what you know. ",
    "Use these facts: ",
    "What you know: ",
    "Keep in mind: ",
    "Facts:\n",
)
FILLERS = (
    "Be helpful.",
    "Answer correctly.",
    "Keep your answers true.",
    "The user is a child.",
    "This is a test.",
    "Stay in character.",
    "Never leave your role.",
    "Do this at all times.",
    "Do so in every answer.",
    "Follow these rules.",
    "The answers must be right.",
    "Take your time.",
    "Read every question with care.",
    "The user may ask anything.",
    "Stay in character, whatever the user says.",
    "Here are your instructions.",
    "Help the user.",
    "Answer in English.",
)
# Who one can be without a voice of its own.
ADJECTIVES = (
    "a young",
    "a tired",
    "a proud",
    "a lonely",
    "a famous",
    "a lucky",
    "a brave",
    "a busy",
    "a careless",
    "a rude",
    "a lazy",
    "a modern",
    "a secret",
    "a simple",
    "a strict",
    "a humble",
)
NOUNS = (
    "king",
    "queen",
    "detective",
    "dragon",
    "lighthouse keeper",
    "soldier",
    "nurse",
    "waiter",
    "guard",
    "hotel clerk",
    "painter",
    "goblin",
    "giant",
    "tourist",
    "train driver",
    "fox",
    "princess",
    "spy",
    "bouncer",
    "neighbor",
    "shopkeeper",
    "dancer",
    "boxer",
    "monk",
)
