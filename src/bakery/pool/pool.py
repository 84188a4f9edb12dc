"""Who answers and writes in a pool, as a stage sees it: like any other backend.

The cluster begins when somebody is asked for the first time, and ends with the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any

from bakery.backends.base import (
    Answer,
    AnswerRequest,
    QuestionWriter,
    RefusedError,
    Reply,
    Sampler,
    Turn,
    UserVoice,
    Wish,
)
from bakery.identity import SamplingSettings
from bakery.pool.addresses import Place
from bakery.pool.crew import Crew
from bakery.pool.parts import cut
from bakery.pool.work import About, Who
from bakery.records import Prompt
from bakery.reporting import Reporter


class Pool:
    """Processes of a place, there from the first question to the end of the block."""

    def __init__(self, place: Place, reporter: Reporter) -> None:
        self._place, self._reporter = place, reporter
        self._after = ExitStack()
        self._crew: Crew | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what was begun; a later question would begin it again."""
        self._crew = None
        self._after.close()

    def join(self) -> None:
        """Have the processes of a cluster that exists begin now; here they wait to be needed."""
        if not self._place.is_local:
            self._begun()

    @property
    def crew(self) -> Crew:
        """The processes."""
        return self._begun()

    def _begun(self) -> Crew:
        if self._crew is None:
            from bakery.pool import cluster

            doing = "starting" if self._place.is_local else "joining"
            with self._reporter.doing(f"{doing} {self._place}"):
                ray, shape = self._after.enter_context(cluster.opened(self._place))
                crew = Crew(ray, shape, self._reporter)
                crew.begin()
            self._reporter.note(f"{self._place}: {shape}")
            self._crew = crew
        return self._crew

    def sampler(self, who: Who) -> Sampler:
        """Return somebody who answers; of an endpoint each process asks its share at once."""
        if who.hosted is None:
            return _Sampler(self, who)
        at_once = min(who.concurrency, self.crew.shape.actors)
        return _Sampler(self, replace(who, concurrency=who.concurrency // at_once), at_once)

    def writer(self, who: Who) -> QuestionWriter:
        """Return somebody who writes questions."""
        return _Writer(self, who, self.crew.one(who, "about"))


class _Sampler:
    """Answers of one model, by all processes."""

    def __init__(self, pool: Pool, who: Who, at_once: int | None = None) -> None:
        self.name, self._pool, self._who, self._at_once = who.name, pool, who, at_once

    @property
    def notes(self) -> Sequence[str]:
        """Say what the model itself would say."""
        said: list[str] = self._pool.crew.one(self._who, "notes")
        return said

    def answers(
        self, requests: Sequence[AnswerRequest], teacher: Prompt, settings: SamplingSettings
    ) -> Iterator[list[Answer]]:
        """Yield the answers of each part as they are there."""
        crew = self._pool.crew
        ordered = sorted(requests, key=lambda request: request.key)
        parts = self._parts(ordered, crew.size)
        refused: list[RefusedError] = []
        given = [(part, teacher, settings) for part in parts]
        for _, done in crew.each(self._who, "answers", given, most=self._at_once):
            if done.value:
                yield done.value
            if done.failed is not None:
                error = done.failed.error()
                if not isinstance(error, RefusedError):
                    raise error
                refused.append(error)
        if refused:
            reasons = {key: why for error in refused for key, why in error.reasons.items()}
            raise RefusedError(
                refused[0].message, hint=refused[0].hint, reasons=reasons,
                gave_up=any(error.gave_up for error in refused),
            )  # fmt: skip

    def _parts(
        self, ordered: Sequence[AnswerRequest], actors: int
    ) -> list[Sequence[AnswerRequest]]:
        if self._who.hosted is None:
            return cut(ordered, actors)
        # What an endpoint has answered was paid for: little of it is under way at once.
        return cut(ordered, actors, least=1, most=2 * self._who.concurrency)


class _Writer:
    """A model that writes questions, by all processes."""

    def __init__(self, pool: Pool, who: Who, about: About) -> None:
        self.name, self.speaks_as_user = about.name, about.speaks_as_user
        self.longest_list = about.longest_list
        self._pool, self._who, self._about = pool, who, about

    @property
    def voice(self) -> UserVoice | None:
        """The same model as a user."""
        return _Voice(self._pool, self._who, self._about)

    def write(self, wish: Wish) -> list[Reply]:
        """Reply to the instruction of a round, in the order of its numbers."""
        crew = self._pool.crew
        count: int = crew.one(self._who, "count", wish)
        parts = cut(range(count), crew.size, least=1)
        return _in_order(crew, self._who, "write", [(part, wish) for part in parts])


class _Voice:
    """A model that speaks as the user, by all processes."""

    def __init__(self, pool: Pool, who: Who, about: About) -> None:
        self.name, self.temperature = about.voice_name, about.temperature
        self.is_trusted = about.is_trusted
        self._pool, self._who = pool, who

    def follows(self, prompt: Prompt) -> bool:
        """Tell whether a user can be sampled behind a prompt."""
        follows: bool = self._pool.crew.one(self._who, "follows", prompt)
        return follows

    def speak(
        self, turns: Sequence[Turn], *, temperature: float, max_tokens: int | None
    ) -> list[Reply]:
        """Say what a user says, turn by turn."""
        crew = self._pool.crew
        parts = cut(turns, crew.size)
        given = [(part, temperature, max_tokens) for part in parts]
        return _in_order(crew, self._who, "speak", given)


def _in_order(crew: Crew, who: Who, what: str, parts: Sequence[tuple[Any, ...]]) -> list[Reply]:
    """Return the replies of all parts, in the order of the parts."""
    found: dict[int, list[Reply]] = {}
    for number, done in crew.each(who, what, parts):
        if done.failed is not None:
            raise done.failed.error()
        found[number] = done.value
    return [reply for number in sorted(found) for reply in found[number]]
