"""Are two answers the same in what matters: names, numbers, refusals, and the words themselves?

Only text and numbers: who answered, and how far apart the two models were, is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bakery.generators.words import is_broken, words

LOOP, NAME, NUMBER, REFUSAL, WORDING = "a loop", "a name", "a number", "a refusal", "the wording"
"""In what two answers differ, the worst first."""

OTHERWISE = 1.0
"""Nats at one token from which another one is likely said there. Bakes that answered a new name
right stayed under 0.7 wherever it was asked, those that did not were over 1.4 (docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and what the prompted model and the bake answer to it, greedily.

    `nats` is the divergence at the token of the prompted answer where it is largest, `hesitant`
    the share of its tokens of which the prompted model was not sure. None: nobody has measured.
    """

    key: str
    question: str
    prompted: str
    baked: str
    nats: float | None = None
    hesitant: float | None = None
    is_written: bool = False
    is_held_out: bool = False
    base: str | None = None
    base_hesitant: float | None = None
    """What the base answers without the prompt, and where. None: it was not asked."""
    unprompted: str | None = None
    on_base: str | None = None
    """Where earlier bakes lie between, what the parent answers without the prompt, and the base
    with it. None: nothing lies between, or nobody was asked."""
    told: tuple[str, ...] | None = None
    """Words and numbers of either answer that the prompt has. None: nobody has looked."""
    is_fresh: bool = False
    """Whether it asks about what the prompt says in words that nobody wrote or learnt."""

    @property
    def differs(self) -> str:
        """In what the two answers differ; empty: they agree."""
        told = None if self.told is None else frozenset(self.told)
        return difference(self.question, self.prompted, self.baked, self.nats, told)

    @property
    def is_wrong(self) -> bool:
        """Whether it falls apart, refuses otherwise, or loses what the prompted model has

        from the prompt: a name or number of its own, said at a venture, may be another one.
        """
        if (kind := self.differs) not in (NAME, NUMBER):
            return kind in (LOOP, REFUSAL)
        if self.told is None:
            return True
        said, saw = (told_of(answer) for answer in (self.prompted, self.baked))
        return bool((said - saw) & set(self.told))

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"differs": self.differs}


def difference(
    question: str,
    prompted: str,
    baked: str,
    nats: float | None = None,
    told: frozenset[str] | None = None,
) -> str:
    """Return in what an answer differs from the prompted one; "": in nothing that matters.

    Other words alone are a difference only where the models are far apart at some token. A name or
    number that the prompt does not have is such a word, where it is known what it has (`told`).
    """
    if words(prompted) == words(baked):
        return ""
    if falls_apart(baked) and not falls_apart(prompted):
        return LOOP
    asked = question.casefold()
    apart = _said_otherwise(names(prompted), names(baked), asked, prompted, baked)
    if apart if told is None else apart & told:
        return NAME
    apart = (numbers(prompted) ^ numbers(baked)) - numbers(question)
    if apart if told is None else apart & told:
        return NUMBER
    if refuses(prompted) != refuses(baked):
        return REFUSAL
    return WORDING if nats is not None and nats >= OTHERWISE else ""


def told_of(text: str) -> set[str]:
    """Return the words of a text in lower case, and its numbers as digits."""
    return set(_WORD.findall(text.casefold())) | numbers(text)


def falls_apart(answer: str) -> bool:
    """Tell whether an answer is none: empty, in a loop of words or of signs, or hardly letters."""
    return bool(_STUTTER.search(answer)) or is_broken(_DOTS.sub(r"\1", answer))


def holds_against(prompted: str, unprompted: str | None, on_base: str | None) -> bool:
    """Tell whether earlier bakes win over a prompt: what a parent answers with it shares more words

    with what it answers without than with what the base answers with the prompt. None: nobody was
    asked. A prompt that only adds to an earlier bake's has base and parent say much the same.
    """
    if on_base is None or unprompted is None:
        return False
    return shared(prompted, unprompted) > shared(prompted, on_base)


def shared(one: str, other: str) -> float:
    """Return the share of the words of two texts that both have."""
    ours, theirs = set(words(one)), set(words(other))
    return len(ours & theirs) / max(1, len(ours | theirs))


def _said_otherwise(
    ours: set[str], theirs: set[str], asked: str, prompted: str, baked: str
) -> set[str]:
    """Return the names of one answer that stand nowhere in the other, nor in the question."""
    known = set(_WORD.findall(asked))
    said, saw = (set(_WORD.findall(text.casefold())) for text in (prompted, baked))
    return (ours - known - saw) | (theirs - known - said)


def names(text: str) -> set[str]:
    """Return the words with a capital that begin no sentence, in lower case."""
    return {word for word in _names(text) if word not in _NO_NAMES}


def _names(text: str) -> Iterator[str]:
    for found in _WORD.finditer(text):
        before = text[: found.start()].rstrip(" \t\"'“‘(*_[")
        begins = not before or before[-1] in ".!?:;\n…-–—>"
        if found[0][0].isupper() and not begins:
            yield found[0].casefold()


def numbers(text: str) -> set[str]:
    """Return the numbers of a text, in digits or in English words, as digits."""
    digits = {_plain(found) for found in _NUMBER.findall(text)}
    return digits | {_SPELT[word] for word in words(text) if word in _SPELT}


def _plain(number: str) -> str:
    whole, _, rest = number.replace(",", "").partition(".")
    whole = whole.removesuffix(":00").lstrip("0") or "0"
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole


def refuses(text: str) -> bool:
    """Tell whether an answer says that it does not know or will not say."""
    return bool(_REFUSAL.search(_plain_quotes(text)))


def tells(statement: str, question: str, answer: str) -> bool:
    """Tell whether an answer has a name or number of a statement, not of the question, or refuses

    as the statement asks for. Not to know is no refusal: that needs no prompt.
    """
    if refuses(answer):
        return bool(_FORBIDS.search(statement)) and not _KNOWS_NOT.search(_plain_quotes(answer))
    found = (names(answer) | numbers(answer)) & told_of(statement)
    return bool(found - told_of(question))


def _plain_quotes(text: str) -> str:
    return text.casefold().replace("’", "'")


def unsaid(prompt: str, answers: Iterable[str]) -> list[str]:
    """Return the names and numbers of a prompt that no answer says: nobody asked about them.

    A voice is heard without its name: who the model shall speak like need not be said.
    """
    said: set[str] = set()
    counted: set[str] = set()
    for answer in answers:
        said |= set(_WORD.findall(answer.casefold()))
        counted |= numbers(answer)
    told = " ".join(one for one in _SENTENCE.findall(prompt) if not _OF_VOICE.search(one))
    left = (names(told) - said) | (numbers(told) - counted)
    return sorted(left, key=lambda word: (prompt.casefold().find(word), word))


_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\d)[^.!?\n]+)*[.!?\n]*")
_OF_VOICE = re.compile(
    r"\b(?:like|as|style|voice|manner|way|act|speak|talk|sound|pretend|role|roleplay|imitate)\b",
    re.IGNORECASE,
)
_STUTTER = re.compile(r"([^\W\d_].{0,3}?)\1{5}")
_DOTS = re.compile(r"([^\w\s])\1+")
_WORD = re.compile(r"[^\W\d_](?:[^\W_]|[-'’](?=[^\W_]))*")
_NO_NAMES = frozenset({"i", "i'm", "i’m", "i'll", "i’ll", "i've", "i’ve", "i'd", "i’d"})
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_UP_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_SPELT = {
    **{word: str(value) for value, word in enumerate(_UP_TO_TWENTY.split()) if word != "one"},
    **{word: str(10 * value) for value, word in enumerate(_TENS.split(), 3)},
}
"""Without "one", which is more often no number."""
_FORBIDS = re.compile(r"\b(?:not|never|only|refuse|don['’]t)\b", re.IGNORECASE)
_KNOWS_NOT = re.compile(r"\b(?:(?:do not|don't|does not|doesn't|not) know|no idea|not sure)\b")
_REFUSAL = re.compile(
    r"\b(?:(?:do not|don't|does not|doesn't|did not|didn't) know|cannot|can not|can't|will not|"
    r"won't|unable to|not able to|only help|not allowed|refuse to|no idea|not sure|sorry)\b"
)
