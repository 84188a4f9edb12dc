"""One process of a pool: who answers or writes in it, and what it is asked.

It knows no Ray and no repository. What it makes follows from keys alone, so that it is the same
whichever process makes it.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import errors
from bakery.backends.base import Answer, AnswerRequest, RefusedError, Reply, Sampler, Turn, Wish
from bakery.errors import BakeryError, ConfigError
from bakery.identity import BaseModelId, SamplingSettings
from bakery.records import FAKE, Prompt

if TYPE_CHECKING:
    from bakery.backends.local import LocalModel
    from bakery.backends.voice import Voice
    from bakery.backends.writers import LocalWriter


@dataclass(frozen=True, slots=True)
class Who:
    """Who is asked: a base with the files of an adapter on it, or what `hosted` names.

    `hosted` is an endpoint, found in the environment of the process that asks it, or the fake one;
    its texts become ids of the base.
    """

    base: BaseModelId
    name: str
    dtype: str = "auto"
    adapter: Mapping[str, bytes] | None = field(default=None, repr=False)
    hosted: str | None = None
    concurrency: int = 1
    for_another: bool = False
    """Whether it answers in the place of the model that learns."""


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what an adapter is loaded from."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name.startswith("adapter_")
    }


@dataclass(frozen=True, slots=True)
class Here:
    """A process that is there: what runs in it, and where."""

    version: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of ours, as it travels between processes."""

    kind: str
    message: str
    hint: str | None
    reasons: Mapping[str, str] | None = None
    """Of requests that were refused each by itself."""
    gave_up: bool = False

    @classmethod
    def of(cls, error: BakeryError) -> Failure:
        """Return what travels of an error."""
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        if isinstance(error, RefusedError):
            return cls(kind, error.message, error.hint, dict(error.reasons), error.gave_up)
        return cls(kind, error.message, error.hint)

    def error(self) -> BakeryError:
        """Return the error again."""
        if self.reasons is not None:
            return RefusedError(
                self.message, hint=self.hint, reasons=self.reasons, gave_up=self.gave_up
            )
        kind: type[BakeryError] = getattr(errors, self.kind)
        return kind(self.message, hint=self.hint)


@dataclass(frozen=True, slots=True)
class Done:
    """What a process made of its part, and what went wrong behind that."""

    value: Any
    failed: Failure | None
    pid: int
    """Another than before: the process was lost, and begun anew."""


@dataclass(frozen=True, slots=True)
class About:
    """What a stage wants to know of who writes."""

    name: str
    speaks_as_user: bool
    longest_list: int | None
    voice_name: str
    temperature: float
    is_trusted: bool


class Worker:
    """Holds the model that it was last asked for, loaded when it is needed."""

    def __init__(self, threads: int | None = None) -> None:
        """`threads`: of this process, for one model; None: as many as it would take."""
        self._threads = threads
        self._opened: tuple[Who, _Opened] | None = None

    def hello(self) -> Here:
        """Say what runs here, with the libraries that take long loaded."""
        import bakery
        from bakery.backends import local as _local  # noqa: F401

        return Here(bakery.__version__, socket.gethostname(), os.getpid())

    def do(self, who: Who, what: str, *given: Any) -> Done:
        """Do one part; an error of ours travels as data, any other is Ray's to carry."""
        told: list[Any] = []
        try:
            value = getattr(self._open(who), what)(told, *given)
        except BakeryError as error:
            return Done(told, Failure.of(error), os.getpid())
        return Done(value, None, os.getpid())

    def _open(self, who: Who) -> _Opened:
        if self._opened is None or self._opened[0] != who:
            self._opened = None  # first, so that two are never in memory
            self._opened = who, _Opened(who, self._threads)
        return self._opened[1]


class _Opened:
    """Somebody who answers or writes; `told` takes what is there when an error comes."""

    def __init__(self, who: Who, threads: int | None) -> None:
        self._who = who
        self._model = None if who.hosted else _loaded(who, threads)
        self._sampler = _sampler(who, self._model)
        self._writer: LocalWriter | None = None
        self._voice: Voice | None = None

    def notes(self, told: list[Any]) -> list[str]:
        return list(self._sampler.notes)

    def answers(
        self,
        told: list[Answer],
        requests: Sequence[AnswerRequest],
        teacher: Prompt,
        settings: SamplingSettings,
    ) -> list[Answer]:
        for batch in self._sampler.answers(requests, teacher, settings):
            told += batch
        return told

    def about(self, told: list[Any]) -> About:
        writer, voice = self._writing()
        return About(
            writer.name, writer.speaks_as_user, writer.longest_list, voice.name,
            voice.temperature, voice.is_trusted,
        )  # fmt: skip

    def follows(self, told: list[Any], prompt: Prompt) -> bool:
        return self._writing()[1].follows(prompt)

    def speak(
        self, told: list[Any], turns: Sequence[Turn], temperature: float, max_tokens: int | None
    ) -> list[Reply]:
        _, voice = self._writing()
        return voice.speak(turns, temperature=temperature, max_tokens=max_tokens)

    def count(self, told: list[Any], wish: Wish) -> int:
        return self._writing()[0].count(wish)

    def write(self, told: list[Any], numbers: Sequence[int], wish: Wish) -> list[Reply]:
        return self._writing()[0].part(wish, numbers)

    def _writing(self) -> tuple[LocalWriter, Voice]:
        """Return the model as it writes; a voice keeps what its turns begin with."""
        from bakery.backends import writers

        assert self._model is not None  # no endpoint writes in a pool
        if self._writer is None or self._voice is None:
            self._writer = writers.writer_for(self._model)
            self._voice = self._writer.voice
        return self._writer, self._voice


def _loaded(who: Who, threads: int | None) -> LocalModel:
    import torch

    from bakery.backends.local import LocalModel
    from bakery.engine.models import models

    if threads is not None:
        torch.set_num_threads(threads)
    base = models.load(who.base, dtype=who.dtype)
    if who.adapter is None:
        return LocalModel(base, name=who.name)
    with tempfile.TemporaryDirectory(prefix="bgit-adapter-") as folder:
        for name, data in who.adapter.items():
            Path(folder, name).write_bytes(data)
        return LocalModel(base, name=who.name, parent=Path(folder))


def _sampler(who: Who, model: LocalModel | None) -> Sampler:
    if model is not None:
        from bakery.backends.local import AnsweringForAnother

        return AnsweringForAnother(model) if who.for_another else model
    from bakery.engine.models import models

    chat = models.load_chat(who.base)
    if who.hosted == FAKE:
        from bakery.backends.fake import FakeSampler

        return FakeSampler(chat)
    from bakery.backends.endpoint import endpoint_for
    from bakery.backends.hosted import HostedSampler

    found = endpoint_for(str(who.hosted))
    if isinstance(found, str):
        raise ConfigError(
            f"{who.name} cannot answer on {socket.gethostname()}: {found}",
            hint="The environment of the cluster's processes has to have it.",
        )
    return HostedSampler(found, chat, concurrency=who.concurrency)
