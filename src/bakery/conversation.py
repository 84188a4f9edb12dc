"""A conversation as plain data: who answers, what was said, and how answers are made.

Knows neither tensors nor the screen: whoever answers is handed in.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bakery.errors import ConfigError
from bakery.records import Message, Prompt
from bakery.strengths import MOST

MOST_TEMPERATURE = 2.0


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How answers are made. Temperature 0 takes the likeliest token every time."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | None = None
    """None: what fits, up to a usual length."""
    seed: int | None = None
    """None: another answer every time, where the temperature is not 0."""

    def with_temperature(self, text: str) -> ChatSettings:
        """Return the settings with a temperature as a person typed it."""
        return replace(self, temperature=number(text, "temperature", 0.0, MOST_TEMPERATURE))


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended: `stop` by itself, `length` where it was cut; and its tokens."""

    finish: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer, and who gave it."""

    label: str
    model: str
    text: str
    finish: str
    tokens: int

    def as_data(self) -> dict[str, Any]:
        """Return what a program reads."""
        return {
            "answer": self.text,
            "model": self.model,
            "finish": self.finish,
            "tokens": self.tokens,
        }


class Speaker(Protocol):
    """Somebody who answers."""

    name: str

    @property
    def strength(self) -> float | None:
        """How much of the bake is in the answers; None: nothing was baked that could be scaled."""

    def scale(self, strength: float) -> None:
        """Have more or less of the bake in the answers."""

    def reply(
        self, prompt: Prompt, messages: Sequence[Message], settings: ChatSettings
    ) -> Generator[str, None, Ending]:
        """Yield an answer piece by piece, and return how it ended."""

    def size(self, prompt: Prompt, messages: Sequence[Message]) -> tuple[int, int]:
        """Return how many tokens that takes, and how many the model was made for."""


@dataclass
class Voice:
    """One side that answers, with what it was told and said so far.

    A system prompt that is typed takes the place of `prompt`, unless that is `fixed`.
    """

    label: str
    speaker: Speaker
    prompt: Prompt = field(default_factory=Prompt)
    fixed: bool = False
    turns: list[Message] = field(default_factory=list)


@dataclass
class Conversation:
    """Questions, and what each voice made of them. `system` None: no system prompt was typed."""

    voices: Sequence[Voice]
    settings: ChatSettings = field(default_factory=ChatSettings)
    system: str | None = None
    asked: list[str] = field(default_factory=list)
    stopped: str | None = None
    """The last question, where its answer was stopped."""
    beside: Sequence[Voice] = ()
    """The sides of a comparison, where a single voice answers and could be compared."""

    def compared(self, text: str) -> tuple[Conversation, str]:
        """Return all sides without a history, and what to ask them: a text, or the last question.

        Behind what the baked model said before, the others would speak as it does. What they
        answer is not remembered here.
        """
        if len(self.voices) > 1:
            raise ConfigError("several answer already: ask a question")
        if not self.beside:
            raise ConfigError(
                f"{self.voices[0].speaker.name} has no prompt to be compared with",
                hint="A bake of this repository has: `bgit models` lists them.",
            )
        if not text and not self.asked:
            raise ConfigError("nothing was asked yet: /compare TEXT asks something")
        sides = [replace(voice, turns=[]) for voice in self.beside]
        return Conversation(sides, self.settings, self.system), text or self.asked[-1]

    def reply(self, text: str) -> Generator[tuple[str, str], None, list[Answer]]:
        """Yield (label, piece) of each voice in turn, and return their answers.

        Only what every voice answered to its end is remembered.
        """
        question: Message = {"role": "user", "content": text}
        answers = []
        self.stopped = text
        for voice in self.voices:
            pieces = []
            reply = voice.speaker.reply(
                self.prompt_of(voice), [*voice.turns, question], self.settings
            )
            try:
                while True:
                    piece = next(reply)
                    pieces.append(piece)
                    yield voice.label, piece
            except StopIteration as end:
                ending: Ending = end.value
            finally:
                reply.close()
            said = "".join(pieces)
            answers.append(
                Answer(voice.label, voice.speaker.name, said, ending.finish, ending.tokens)
            )
        self.stopped = None
        self.asked.append(text)
        for voice, answer in zip(self.voices, answers, strict=True):
            voice.turns += [question, {"role": "assistant", "content": answer.text}]
        return answers

    def clear(self) -> None:
        """Forget what was said; the system prompt stays."""
        self.asked.clear()
        self.stopped = None
        for voice in self.voices:
            voice.turns.clear()

    def undo(self) -> str:
        """Forget the last question with its answers, and return it."""
        if not self.asked:
            raise ConfigError("there is nothing to take back yet")
        for voice in self.voices:
            del voice.turns[-2:]
        return self.asked.pop()

    def again(self) -> str:
        """Return the last question, forgotten, so that it can be asked once more."""
        if self.stopped is not None:
            return self.stopped
        return self.undo()

    def scale(self, text: str) -> float:
        """Set how much of the bake is in the answers, and return it."""
        scaled = [voice.speaker for voice in self.voices if voice.speaker.strength is not None]
        if not scaled:
            raise ConfigError(
                f"{self.voices[0].speaker.name} carries no bake, so there is no strength to set"
            )
        strength = number(text, "strength", -MOST, MOST)
        for speaker in scaled:
            speaker.scale(strength)
        return strength

    def prompt_of(self, voice: Voice) -> Prompt:
        """Return what stands before everything that is said."""
        if voice.fixed or self.system is None:
            return voice.prompt
        return Prompt(({"role": "system", "content": self.system},), voice.prompt.tools)

    def as_data(self) -> dict[str, Any]:
        """Return the whole conversation, as it is saved."""
        return {
            "system": self.system,
            "settings": {
                "temperature": self.settings.temperature,
                "top_p": self.settings.top_p,
                "seed": self.settings.seed,
            },
            "voices": [
                {
                    "label": voice.label,
                    "model": voice.speaker.name,
                    "strength": voice.speaker.strength,
                    "messages": [*self.prompt_of(voice).messages, *voice.turns],
                }
                for voice in self.voices
            ],
        }


def number(text: str, what: str, least: float | None = None, most: float | None = None) -> float:
    """Return a number as a person typed it; ConfigError where it is not one, or out of range."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    low, high = (
        (-float("inf") if least is None else least),
        (float("inf") if most is None else most),
    )
    if not low <= value <= high or value in (float("inf"), -float("inf")):
        between = f" from {least:g} to {most:g}" if least is not None and most is not None else ""
        raise ConfigError(f"{what} takes a number{between}, not {text!r}")
    return value
