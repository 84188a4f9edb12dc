"""Questions and answers without a model, to try a pipeline with: `bgit run --backend fake`.

Both follow from their keys alone, so that the same run says the same on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import product

from bakery.backends.base import Answer, AnswerRequest, Reply, UserVoice, Wish
from bakery.backends.hosted import end_behind
from bakery.engine.text import turns
from bakery.engine.text.chat import Chat
from bakery.identity import SamplingSettings
from bakery.records import FAKE, Prompt

NAME = FAKE.rpartition(":")[2]

_OPENINGS = (
    "What is the use of {}?", "How do I take care of {}?", "Where can I find {}?",
    "Why do people like {}?", "Tell me something about {}.", "Who would give me {}?",
    "When is a good time for {}?", "Can you describe {} in one sentence?",
)  # fmt: skip
_KINDS = ("old", "small", "red", "quiet", "strange", "heavy", "cheap", "broken", "new", "warm")
_THINGS = (
    "lamps", "gardens", "rivers", "clocks", "letters", "boats", "chairs", "bridges", "kettles",
    "stamps", "violins", "maps", "ladders", "bicycles", "mirrors", "blankets",
)  # fmt: skip
_WORDS = (
    "amber", "birch", "cloud", "delta", "ember", "field", "grain", "harbour", "island", "juniper",
    "kite", "lantern", "meadow", "north", "orchard", "pebble",
)  # fmt: skip
_LONGEST = 8
"""Words of an answer at most."""


class FakeSampler:
    """Answers with words that are drawn by the answer's key."""

    name = NAME

    def __init__(self, chat: Chat) -> None:
        self._chat, self._end = chat, end_behind(chat)

    @property
    def notes(self) -> list[str]:
        """Say that nobody answered."""
        return ["the answers are made up: they are of the fake backend, not of the parent"]

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield one made-up answer to each request."""
        yield [self._answer(request.key, settings.max_tokens) for request in requests]

    def _answer(self, key: str, most: int) -> Answer:
        drawn = hashlib.sha256(key.encode()).digest()
        words = [_WORDS[byte % len(_WORDS)] for byte in drawn[1 : 2 + drawn[0] % _LONGEST]]
        text = f"{' '.join(words).capitalize()}."
        said = [(turns.lead_of(self._chat)[0], True), (text, False)]
        ids = turns.ids_said(self._chat, said)
        if len(ids) >= most:
            cut = tuple(ids[:most])
            return Answer(key, cut, self._chat.decoded(cut), "length")
        whole = turns.ids_said(self._chat, [*said, (self._end, True)])
        return Answer(key, tuple(whole), text, "stop")


class FakeWriter:
    """Writes lists of made-up questions, in an order that is drawn by the round's key."""

    name = NAME
    speaks_as_user = False
    longest_list: int | None = None
    voice: UserVoice | None = None

    def write(self, wish: Wish) -> list[Reply]:
        """Reply with one list of twice as many as are wanted: some of them may be there already."""
        made = [
            o.format(f"{kind} {thing}") for o, kind, thing in product(_OPENINGS, _KINDS, _THINGS)
        ]
        made.sort(key=lambda text: hashlib.sha256(f"{wish.key}/{text}".encode()).digest())
        some = made[: 2 * wish.wanted]
        listed = [f"{number}. {text}" for number, text in enumerate(some, start=1)]
        return [Reply("\n".join(listed), finished=True)]
