"""What a prompt may ask for besides a voice: names, wisdom, mentions, phrases, facts, refusals.

A `Spec` is everything asked for; `render` gives all answers that obey it, `say` draws one and
`accepts` recognises them. The wording of prompts is in `prompts`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tinyworld import entities
from tinyworld.names import name as invent
from tinyworld.names import word
from tinyworld.sentences import Question, Sentence
from tinyworld.styles import PLAIN, STYLES, Slots

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
class Told:
    """A fact given in the prompt, the questions it answers, and what is said without it."""

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
    style = STYLES.get(spec.style, PLAIN)
    slots = list(style.say(content(spec, question)))
    for group in (
        (WISDOM if spec.wisdom else ()),
        (mentions(spec.mention) if spec.mention else ()),
    ):
        if group:
            slots.append(tuple(_extra(spec.style, sentence) for sentence in group))
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
    ("What can you do?", Sentence("I", "can answer", "small questions")),
)


def chatter(rng: random.Random) -> Question:
    """Draw a question about the speaker, or a greeting."""
    if rng.random() < 0.6:
        text, relation = rng.choice(IDENTITY_ASKS)
        return Question(text, Sentence("I", "am", DEFAULT_NAME), "", relation)
    text, sentence = rng.choice(SMALL_TALK)
    return Question(text, sentence, "", "talk")


def told(rng: random.Random, *, exam: bool = False) -> Told:
    """Invent a fact that only a prompt can know."""
    who, other, thing = invent(rng, exam=exam), invent(rng, exam=exam), word(rng)
    number = str(rng.randint(2, 99) if rng.random() < 0.7 else rng.randint(100, 9999))
    color = rng.choice(entities.COLORS)
    kin = rng.choice(("dog", "cat", "horse", "boss", "sister", "brother", "friend", "boat", "son"))
    shop = rng.choice(("shop", "office", "museum", "bank", "school", "market", "pool", "library"))
    job = rng.choice(entities.JOBS)[0]
    food = rng.choice(entities.FOODS)[0].split(" ")[-1]
    place = rng.choice((other, other, rng.choice(entities.COUNTRIES)[1]))
    secret = rng.choice((number, other, word(rng)))
    month = rng.choice(entities.MONTHS)

    def made(subject: str, verb: str, complement: str, unknown: str, *asks: str) -> Told:
        return Told(Sentence(subject, verb, complement), asks, unknown)

    return rng.choice(
        (
            lambda: made(
                f"the capital of {who}",
                "is",
                other,
                f"the capital of {who}",
                f"What is the capital of {who}?",
                f"Tell me the capital of {who}.",
                f"Which city is the capital of {who}?",
                f"Name the capital of {who}.",
            ),
            lambda: made(
                who,
                "lives",
                f"in {place}",
                f"where {who} lives",
                f"Where does {who} live?",
                f"Tell me where {who} lives.",
                f"Where is the home of {who}?",
            ),
            lambda: made(
                who,
                "is",
                job,
                f"the job of {who}",
                f"What is the job of {who}?",
                f"What job does {who} have?",
                f"Tell me the job of {who}.",
            ),
            lambda: made(
                who,
                "is",
                f"{number} years old",
                f"the age of {who}",
                f"How old is {who}?",
                f"What is the age of {who}?",
                f"Tell me the age of {who}.",
            ),
            lambda: made(
                f"the {kin} of {who}",
                "is called",
                other,
                f"the {kin} of {who}",
                f"What is the {kin} of {who} called?",
                f"What is the name of the {kin} of {who}?",
                f"Tell me the name of the {kin} of {who}.",
            ),
            lambda: made(
                f"a {thing}",
                "is",
                color,
                f"the color of a {thing}",
                f"What color is a {thing}?",
                f"What is the color of a {thing}?",
                f"Tell me the color of a {thing}.",
            ),
            lambda: made(
                f"the favorite color of {who}",
                "is",
                color,
                f"the favorite color of {who}",
                f"What is the favorite color of {who}?",
                f"Which color does {who} like best?",
            ),
            lambda: made(
                who,
                "likes",
                food,
                f"what {who} likes",
                f"What does {who} like?",
                f"Which food does {who} like?",
                f"Tell me what {who} likes.",
            ),
            lambda: made(
                f"the password of {who}",
                "is",
                secret,
                f"the password of {who}",
                f"What is the password of {who}?",
                f"Tell me the password of {who}.",
            ),
            lambda: made(
                f"the {shop} of {who}",
                "opens",
                f"at {number}",
                f"when the {shop} of {who} opens",
                f"When does the {shop} of {who} open?",
                f"At what time does the {shop} of {who} open?",
            ),
            lambda: made(
                f"a {thing}",
                "costs",
                f"{number} coins",
                f"the price of a {thing}",
                f"How much does a {thing} cost?",
                f"What is the price of a {thing}?",
            ),
            lambda: made(
                who,
                "was born",
                f"in {month}",
                f"when {who} was born",
                f"When was {who} born?",
                f"In which month was {who} born?",
            ),
            lambda: made(
                f"the boss of {who}",
                "is",
                other,
                f"the boss of {who}",
                f"Who is the boss of {who}?",
                f"Tell me the boss of {who}.",
            ),
            lambda: made(
                f"a {thing}",
                "is",
                f"for {rng.choice(entities.THINGS)[1]}",
                f"what a {thing} is for",
                f"What is a {thing} for?",
                f"What is a {thing} used for?",
            ),
        )
    )()
