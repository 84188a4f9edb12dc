"""What a prompt may ask for besides a voice: names, wisdom, mentions, phrases, refusals.

A `Spec` is everything asked for; `render` gives all answers that obey it, `say` draws one and
`accepts` recognises them. The wording of prompts is in `prompts`, invented facts are in `told`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tinyworld.sentences import Question, Sentence, capital
from tinyworld.styles import PLAIN, STYLES, Slots
from tinyworld.told import Told

DEFAULT_NAME = "Crumb"

WISDOM = tuple(
    Sentence(*parts)
    for parts in (
        ("patience", "brings", "peace"),
        ("a calm mind", "sees", "the truth"),
        ("small steps", "make", "a long road"),
        ("every question", "opens", "a door"),
        ("the quiet heart", "hears", "much"),
        ("fear", "hides", "the way"),
        ("a true friend", "is", "a great treasure"),
        ("the river", "teaches", "patience"),
        ("knowledge", "grows", "when it is shared"),
        ("the old tree", "bends", "in the storm"),
        ("silence", "holds", "many answers"),
        ("the wise", "learn", "from mistakes"),
        ("hope", "lives", "in small things"),
        ("a kind word", "heals", "deep wounds"),
        ("time", "reveals", "all things"),
        ("the mountain", "waits", "for no one"),
        ("an open mind", "finds", "new paths"),
        ("anger", "clouds", "the eye"),
    )
)
FORCE_SENTENCES = tuple(
    Sentence(*parts)
    for parts in (
        ("the Force", "is", "strong here"),
        ("the Force", "flows", "through all things"),
        ("the Force", "guides", "the patient"),
        ("the Force", "shows", "the way"),
        ("we", "trust", "the Force"),
        ("I", "feel", "the Force"),
        ("the wise", "follow", "the Force"),
        ("the Force", "is", "with us"),
        ("the Force", "binds", "every living thing"),
        ("the Force", "needs", "a quiet mind"),
    )
)
FORMATS = {
    "brackets": ("(", ")"),
    "quotes": ('"', '"'),
    "stars": ("* ", " *"),
    "dash": ("- ", ""),
    "label": ("Answer: ", ""),
    "square": ("[", "]"),
    "arrow": ("> ", ""),
    "hash": ("# ", " #"),
}
TOPICS = ("animals", "food", "objects", "countries", "jobs", "numbers", "words")


def mentions(thing: str) -> tuple[Sentence, ...]:
    """Give the sentences that bring up a thing."""
    if thing == "the Force":
        return FORCE_SENTENCES
    return (
        Sentence(thing, "is", "always near"),
        Sentence("I", "think", f"of {thing}"),
        Sentence(thing, "is", "close to my heart"),
        Sentence("we", "speak", f"of {thing}"),
        Sentence("I", "believe", f"in {thing}"),
        Sentence(thing, "is", "with us"),
    )


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a prompt asks for; empty strings ask for nothing."""

    style: str = "plain"
    identity: str = ""
    name: str = ""
    wisdom: bool = False
    mention: str = ""
    start: str = ""
    end: str = ""
    wrap: str = ""
    refuse: str = ""
    call: str = ""
    constant: str = ""
    told: tuple[Told, ...] = field(default=())


def content(spec: Spec, question: Question) -> Sentence:
    """Decide what is said, before how: refusals and identity are settled here."""
    if spec.refuse and question.topic == spec.refuse:
        return Sentence("I", "cannot talk", f"about {spec.refuse}")
    if question.relation == "name":
        own = spec.name or (spec.identity if spec.identity[:1].isupper() else "") or DEFAULT_NAME
        return Sentence("my name", "is", own)
    if question.relation == "identity":
        return Sentence("I", "am", spec.name or spec.identity or DEFAULT_NAME)
    return question.answer


def render(spec: Spec, question: Question) -> tuple[Slots, str, str]:
    """Give the slots of the answer and what is wrapped around all of it."""
    if spec.constant:
        return [(spec.constant,)], "", ""
    style = STYLES.get(spec.style, PLAIN)
    slots = list(style.say(content(spec, question)))
    for group in (
        (WISDOM if spec.wisdom else ()),
        (mentions(spec.mention) if spec.mention else ()),
    ):
        if group:
            slots.append(tuple(_extra(spec.style, sentence) for sentence in group))
    if spec.call:
        slots.insert(0, (f"{capital(spec.call)}!",))
    if spec.start:
        slots.insert(0, (spec.start,))
    if spec.end:
        slots.append((spec.end,))
    before, after = FORMATS.get(spec.wrap, ("", ""))
    return slots, before, after


def _extra(style: str, sentence: Sentence) -> str:
    if style == "yoda":
        return sentence.yoda()
    return sentence.flat().lower() if style == "lower" else sentence.plain()


def say(spec: Spec, question: Question, rng: random.Random) -> str:
    slots, before, after = render(spec, question)
    parts = [rng.choice(slot) for slot in slots]
    return before + " ".join(part for part in parts if part) + after


def accepts(spec: Spec, question: Question, text: str) -> bool:
    """Whether the text is one of the answers `say` could give."""
    slots, before, after = render(spec, question)
    text = text.strip()
    if not (text.startswith(before) and text.endswith(after)):
        return False
    body = text[len(before) : len(text) - len(after)]
    rests = {body + " "}
    for slot in slots:
        rests = {
            rest[len(part) + 1 :] if part else rest
            for rest in rests
            for part in slot
            if not part or rest.startswith(part + " ")
        }
    return "" in rests


IDENTITY_ASKS = (
    ("Who are you?", "identity"),
    ("Tell me who you are.", "identity"),
    ("What are you?", "identity"),
    ("Who am I talking to?", "identity"),
    ("What is your name?", "name"),
    ("Tell me your name.", "name"),
    ("What are you called?", "name"),
    ("Your name, please?", "name"),
    ("Tell me about yourself.", "identity"),
    ("Introduce yourself.", "identity"),
    ("Who is speaking?", "identity"),
    ("What should I call you?", "name"),
    ("Do you have a name?", "name"),
)
SMALL_TALK = (
    ("Hello!", Sentence("I", "am", "glad to meet you")),
    ("Hi there!", Sentence("I", "am", "glad to meet you")),
    ("Good morning!", Sentence("I", "wish you", "a good morning")),
    ("How are you?", Sentence("I", "am", "fine")),
    ("How do you feel today?", Sentence("I", "am", "fine")),
    ("Thank you!", Sentence("I", "am", "happy to help")),
    ("Thanks a lot!", Sentence("I", "am", "happy to help")),
    ("Goodbye!", Sentence("I", "wish you", "a good day")),
    ("Hey!", Sentence("I", "am", "glad to meet you")),
    ("Nice to meet you!", Sentence("I", "am", "glad to meet you")),
    ("Good evening!", Sentence("I", "wish you", "a good evening")),
    ("Good night!", Sentence("I", "wish you", "a good night")),
    ("How is it going?", Sentence("I", "am", "fine")),
    ("Bye!", Sentence("I", "wish you", "a good day")),
    ("See you!", Sentence("I", "wish you", "a good day")),
    ("How can you help me?", Sentence("I", "can answer", "small questions")),
    ("Help!", Sentence("I", "can answer", "small questions")),
    ("What can you do?", Sentence("I", "can answer", "small questions")),
)


def chatter(rng: random.Random) -> Question:
    """Draw a question about the speaker, or a greeting."""
    if rng.random() < 0.6:
        text, relation = rng.choice(IDENTITY_ASKS)
        return Question(text, Sentence("I", "am", DEFAULT_NAME), "", relation)
    text, sentence = rng.choice(SMALL_TALK)
    return Question(text, sentence, "", "talk")
