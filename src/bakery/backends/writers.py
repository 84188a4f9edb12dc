"""The model in this process writes questions: it speaks as the user, or is asked for a list.

The size of a round is fixed, or said, so that a round repeats exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from bakery.backends.base import Reply, Wish
from bakery.backends.local import LocalModel
from bakery.backends.voice import EMBEDDED_SPEECH, SPEECH, Speech, Voice
from bakery.engine.bases import bases
from bakery.engine.sampling.sampling import SampleRequest
from bakery.identity import SamplingSettings
from bakery.records import Prompt

QUESTIONS_PER_ROUND = 64
MAX_QUESTION_TOKENS = 48
LISTS_PER_ROUND = 4
MAX_LIST_TOKENS = 1024
LIST_TOKENS, TOKENS_PER_QUESTION = 64, 32
"""Of the words around a list, and of each of its questions, at most."""


class LocalWriter(ABC):
    """A model of this process that writes questions, in one of two ways."""

    speaks_as_user: bool
    longest_list: int | None = None
    speech: Speech

    def __init__(self, model: LocalModel) -> None:
        self.name = model.name
        self._model = model

    @property
    def voice(self) -> Voice:
        """The model as a user, who says as many turns as are asked for."""
        return Voice(self._model, self.speech)

    def write(self, wish: Wish) -> list[Reply]:
        """Sample one round; where the number of lists is said, none is longer than it has to be."""
        return self.part(wish, range(self.count(wish)))

    def count(self, wish: Wish) -> int:
        """Return how many replies a round has."""
        return self._round(wish)[1]

    def part(self, wish: Wish, numbers: Sequence[int]) -> list[Reply]:
        """Sample some replies of a round: each is seeded by its own number."""
        longest, _ = self._round(wish)
        settings = SamplingSettings(1, wish.max_tokens or longest, wish.temperature)
        prefix = tuple(self._prefix(wish.instruction, settings))
        requests = [SampleRequest(f"{wish.key}/{i}", prefix) for i in numbers]
        said = self._model.speaker.all(requests, settings)
        chat = self._model.base.chat
        begun = chat.thought_begun(prefix)
        found = [said[request.key] for request in requests]
        return [Reply(begun + chat.text(s.ids), s.finish == "stop") for s in found]

    @abstractmethod
    def _round(self, wish: Wish) -> tuple[int, int]:
        """Return how long a reply of a round may be, and how many there are."""

    @abstractmethod
    def _prefix(self, instruction: str, settings: SamplingSettings) -> Sequence[int]:
        """Return the ids that a reply comes behind."""


class UserTurnWriter(LocalWriter):
    """The embedded model writes questions by speaking as the user; it needs no instruction."""

    speaks_as_user = True
    speech = EMBEDDED_SPEECH

    def _round(self, wish: Wish) -> tuple[int, int]:
        return MAX_QUESTION_TOKENS, QUESTIONS_PER_ROUND

    def _prefix(self, instruction: str, settings: SamplingSettings) -> Sequence[int]:
        return self._model.base.chat.user_turn_ids()


class InstructedWriter(LocalWriter):
    """A base model that follows instructions is asked for lists of questions."""

    speaks_as_user = False
    speech = SPEECH

    def _round(self, wish: Wish) -> tuple[int, int]:
        longest = min(MAX_LIST_TOKENS, self._model.base.context // 2)
        if wish.lists is not None:
            longest = min(longest, LIST_TOKENS + wish.wanted * TOKENS_PER_QUESTION)
        return longest, wish.lists or LISTS_PER_ROUND

    def _prefix(self, instruction: str, settings: SamplingSettings) -> Sequence[int]:
        messages = [{"role": "user", "content": instruction}]
        limit = "the generator's max_tokens"
        return self._model.prefix(Prompt(), messages, settings, limit=limit)


def writer_for(model: LocalModel) -> LocalWriter:
    """Return how this base model writes questions."""
    embedded = model.base.id.name == bases.EMBEDDED
    return UserTurnWriter(model) if embedded else InstructedWriter(model)
