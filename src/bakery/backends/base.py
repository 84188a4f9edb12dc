"""What a stage needs from whoever makes tokens.

The local model and hosted endpoints both fit; a stage never knows which it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bakery.errors import StageError
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt
from bakery.variables import Values


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question writer said, and whether it came to its own end."""

    text: str
    finished: bool
    likely: float | None = None
    """What its writer thinks of it: log probability, in nats per token. None: not known."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's turn to be sampled: `key` names and seeds it, and it comes behind a prompt."""

    key: str
    behind: Prompt


class UserVoice(Protocol):
    """A model that speaks as the user of an assistant: each reply is one message."""

    name: str
    temperature: float
    """At which it speaks, where nobody says another."""
    is_trusted: bool
    """Whether what it says needs no judge: it was trained to ask."""

    def follows(self, prompt: Prompt) -> bool:
        """Tell whether a user can be sampled behind a prompt."""

    def speak(
        self, turns: Sequence[Turn], *, temperature: float, max_tokens: int | None
    ) -> list[Reply]:
        """Say what a user says, turn by turn; `max_tokens` None: as the voice sees fit."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a writer is asked for in one round: `key` seeds it, and so many questions are missing.

    `max_tokens` is that of each reply, `lists` their number; None: as the writer sees fit.
    """

    instruction: str
    key: str
    wanted: int
    temperature: float
    max_tokens: int | None = None
    lists: int | None = None


class QuestionWriter(Protocol):
    """Writes questions for the teacher, in numbered rounds that can be repeated."""

    name: str
    speaks_as_user: bool
    """True: each reply is itself a question. False: each reply is a list of questions."""
    longest_list: int | None
    """How many questions one reply is asked for at most, and told which there are already.
    None: for all that are missing, and told nothing."""

    @property
    def voice(self) -> UserVoice | None:
        """The same model as a user; None: an endpoint, which can only be asked."""

    def write(self, wish: Wish) -> list[Reply]:
        """Reply to the instruction of a round."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Answer these messages; `key` names the answer and seeds it.

    `values` fill the variables of the prompt that they come behind.
    """

    key: str
    messages: tuple[Message, ...]
    values: Values | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One sampled answer: ids, their text, and how it ended: `stop`, `length`, or another word.

    `stop_text`: a text of `stop` came next. `empty` and `refusal` have no ids: nothing was said,
    or only, in `text`, why not.
    """

    key: str
    ids: tuple[int, ...]
    text: str
    finish: str
    unread: tuple[int, int] | None = None
    """How many tokens its server read of how many in the prompt, where that is far too few."""


class Sampler(Protocol):
    """Answers questions as the teacher."""

    name: str

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know about how it answers."""

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield answers in batches, in whatever order they are ready."""


class RefusedError(StageError):
    """Requests that are refused each by itself, however often they are made.

    All others were answered before it is raised; `gave_up`: they were not, as none of the first
    was answered.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        reasons: Mapping[str, str] | None = None,
        gave_up: bool = False,
    ) -> None:
        """`reasons` says why, by the key of each request."""
        super().__init__(message, hint=hint)
        self.reasons, self.gave_up = dict(reasons or {}), gave_up
