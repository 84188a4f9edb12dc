"""What a stage needs of whoever makes tokens.

The local model and hosted endpoints both fit; a stage never knows which it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question writer said, and whether it came to its own end."""

    text: str
    finished: bool


class QuestionWriter(Protocol):
    """Writes questions for the teacher, in numbered rounds that can be repeated."""

    name: str
    speaks_as_user: bool
    """True: each reply is itself a question. False: each reply is a list of questions."""
    longest_list: int | None
    """How many questions one reply is asked for at most, and told which there are already.
    None: for all that are missing, and told nothing."""

    def write(
        self,
        instruction: str,
        *,
        key: str,
        wanted: int,
        temperature: float,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """Reply to the instruction; `key` seeds the round, `wanted` says how many are missing.

        `max_tokens` is that of each reply; None: as the writer sees fit.
        """


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Answer these messages; `key` names the answer and seeds it."""

    key: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One sampled answer: ids, their text, and how it ended: `stop`, `length`, or another word.

    `stop_text`: a text of `stop` came next.
    """

    key: str
    ids: tuple[int, ...]
    text: str
    finish: str


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
