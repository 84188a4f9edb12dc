"""The models of one run: found by what input.yml calls them, loaded when first needed.

The base and the parent are kept; of others only the one that was used last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.app.workbench import Workbench
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId, RolloutRequest
from bakery.records import FAKE, ModelRef
from bakery.reporting import Reporter
from bakery.schema.model_names import GGUF, HOSTED, kind_of

if TYPE_CHECKING:
    from bakery.backends.base import QuestionWriter, Sampler
    from bakery.backends.endpoint import Endpoint
    from bakery.backends.local import LocalModel
    from bakery.engine.models.models import BaseModel
    from bakery.engine.text.chat import Chat
    from bakery.pool.pool import Pool
    from bakery.pool.work import Who


@dataclass(frozen=True, slots=True)
class Speaks:
    """A model of this machine before it is loaded: a base, and the folder of a bake on it."""

    base: BaseModelId
    name: str
    folder: Path | None = None


class Models:
    """The base model of a repository, its parent, and whoever else writes or answers."""

    def __init__(
        self,
        bench: Workbench,
        base: BaseModelId,
        parent: ModelRef | None,
        reporter: Reporter,
        *,
        offline: bool = False,
        loaded: BaseModel | None = None,
    ) -> None:
        """`offline`: no endpoint is asked for questions, whatever its key is.

        `loaded`: the base where somebody has it already; it is never loaded again.
        """
        self._bench, self._base_id, self._parent, self._offline = bench, base, parent, offline
        self._reporter, self._given = reporter, loaded
        self._how: tuple[str, str | None] = (defaults_for(base).dtype, None)
        self._base: BaseModel | None = loaded
        self._told = False
        self._teacher: LocalModel | None = None
        self._other: tuple[Speaks, LocalModel] | None = None
        self._pool: Pool | None = None
        """Who writes and answers in the place of this process; None: nobody."""

    def check_base(self) -> None:
        """Refuse a base that is no longer the one that was recorded."""
        from bakery.engine.bases import bases

        if self._given is None:
            bases.check(self._base_id)

    def base(self) -> BaseModel:
        """Return the base that the parent is put on, and that is trained."""
        if self._base is None:
            self._base = self._load(self._base_id)
        if not self._told:
            self._told = True
            self._tell_of(self._base)
        return self._base

    def _tell_of(self, base: BaseModel) -> None:
        """Say what a person should know of the base before it answers."""
        from bakery.engine.models import loaded

        if (unnamed := loaded.unnamed_end(base.chat)) is not None:
            self._reporter.note(unnamed)

    def chat(self) -> Chat:
        """Return how the base renders chats; its weights are not loaded for it."""
        from bakery.engine.models import models

        if self._base is not None:
            return self._base.chat
        return models.load_chat(self._base_id, reporter=self._reporter)

    def bare(self) -> LocalModel:
        """Return the base as it is, with no bake on it."""
        name = self._base_id.name
        if self._teacher is None or self._parent is None:
            return self._speaking(self.base(), name)
        # The parent's adapter lies in the base's own layers by now.
        return self._kept(Speaks(self._base_id, name))

    def teacher(self) -> LocalModel:
        """Return the parent: the base, or the base with the last bake's adapter."""
        if self._teacher is None:
            parent = self._parent
            if parent is None:
                self._teacher = self.bare()
            else:
                folder = self._bench.weights(parent)
                self._teacher = self._speaking(self.base(), str(parent), folder)
        return self._teacher

    def is_parent(self, model: ModelRef | None) -> bool:
        """Tell whether a model (None: the base) is the one that `teacher` gives."""
        return model == self._parent

    def take_off(self) -> None:
        """Take the parent's adapter off the base again, so that a writer needs no second base."""
        if self._teacher is not None and self._parent is not None:
            self._teacher.model.unload()
            self._teacher = None

    @contextmanager
    def shared_out(self, on: str | None) -> Iterator[None]:
        """Have questions and answers made at a place; None: in this process."""
        if on is None:
            yield
            return
        from bakery.pool import addresses
        from bakery.pool.pool import Pool

        with Pool(addresses.place(on), self._reporter) as self._pool:
            try:
                yield
            finally:
                self._pool = None

    def join(self) -> None:
        """Join the cluster of a place, where there is one: what is wrong there is found out now."""
        if self._pool is not None:
            self._pool.join()

    def _let_go(self) -> None:
        """Let go of every model but one that was handed in: processes load their own."""
        from bakery.engine import memory

        if self._given is None and (self._base or self._other):
            self._base = self._teacher = self._other = None
            memory.give_back()

    def to_train(self, *, dtype: str, attention: str | None, folder: Path | None) -> LocalModel:
        """Return the parent, and let go of every other model: what follows needs the memory.

        It is loaded anew where it answered with other numbers, or other attention, than it trains.
        `folder` has its adapter, or another one in its place; None: it is the base.
        """
        self._other = None
        if self._how != (dtype, attention) and self._given is None:
            self._base = self._teacher = None  # first, so that two are never in memory
            self._how = dtype, attention
        if self._teacher is None and folder is not None:
            self._teacher = self._speaking(self.base(), str(self._parent), folder)
        return self.teacher()

    def student(self, base: BaseModelId, *, dtype: str, attention: str | None) -> BaseModel:
        """Return another base to be trained beside its teacher, and let go of who wrote."""
        from bakery.engine.models import models

        self._other = None
        self._reporter.note(f"loading {base.name}")
        with self._reporter.doing("loading"):
            return models.load(base, dtype=dtype, attention=attention, reporter=self._reporter)

    def writer(self, name: str | None) -> tuple[QuestionWriter, str | None]:
        """Return who writes questions, and a sentence where that is not who was asked for."""
        from bakery.backends import fake, hosted

        if name == FAKE:
            return fake.FakeWriter(), None
        base, instead = self._base_id.name, None
        found = None if name is None else self._named(name)
        if name is not None and found is None:
            answer = self.cannot_ask(name) or hosted.writer_for(name)
            if not isinstance(answer, str):
                return answer, None
            instead = f"{name} cannot write the questions: {answer}; {base} writes them instead"
        return self._writing(found or Speaks(self._base_id, base)), instead

    def _writing(self, speaks: Speaks) -> QuestionWriter:
        from bakery.backends import writers

        if self._pool is not None:
            self._let_go()
            return self._pool.writer(self._who(speaks))
        return writers.writer_for(self._loaded(speaks))

    def is_hosted(self, name: str | None) -> bool:
        """Tell whether an endpoint is meant where a writer is called so."""
        if name in (None, FAKE, self._base_id.name):
            return False
        kind = kind_of(str(name))
        return kind == "hosted" or (kind == "word" and not self._bench.names_bake(str(name)))

    def cannot_ask(self, name: str) -> str | None:
        """Return why an endpoint cannot be asked for questions here; None: it can."""
        from bakery.backends import endpoint

        found = endpoint.endpoint_for(name)
        return (
            "no endpoint is asked" if self._offline else found if isinstance(found, str) else None
        )

    def sampler(self, request: RolloutRequest) -> Sampler:
        """Return who answers, as a request says."""
        if self._pool is not None:
            self._let_go()
            return self._pool.sampler(self._who_answers(request))
        if request.model == FAKE:
            from bakery.backends.fake import FakeSampler

            return FakeSampler(self.chat())
        if request.model is not None and request.model.startswith(HOSTED):
            return self._hosted(request.model, request.max_concurrency)
        if request.model is not None:
            model = self._loaded(self._local(request.model))
            return _for_another(model, self.base())
        if request.parent == self._parent:
            return self.teacher()
        return self._loaded(self._baked(request.parent))

    def _who_answers(self, request: RolloutRequest) -> Who:
        """Return who answers, as a pool is told; nothing of it is loaded here."""
        from bakery.pool.work import Who

        model = request.model
        if model is None:
            return self._who(self._baked(request.parent))
        if model == FAKE or model.startswith(HOSTED):
            name = model.partition(":")[2] if model == FAKE else _endpoint(model).model
            return Who(self._base_id, name, hosted=model, concurrency=request.max_concurrency)
        speaks = self._local(model)
        if speaks.base != self._base_id:
            from bakery.engine.models import models

            chat = models.load_chat(speaks.base, reporter=self._reporter)
            _check_tokens(speaks.name, chat, self._base_id.name, self.chat())
        return replace(self._who(speaks), for_another=True)

    def _who(self, speaks: Speaks) -> Who:
        from bakery.pool.work import Who, files_of

        files = files_of(speaks.folder) if speaks.folder is not None else None
        return Who(speaks.base, speaks.name, self._numbers(speaks.base)[0], files)

    def expect(self, request: RolloutRequest) -> None:
        """Refuse a request whose answering model is not available, before anything is loaded."""
        if request.model is not None and request.model.startswith(HOSTED):
            _endpoint(request.model)
        elif request.model not in (None, FAKE):
            self._check_here(str(request.model))
        elif request.parent is not None and request.parent != self._parent:
            self._bench.weights(request.parent)

    def _check_here(self, name: str) -> None:
        """Refuse a path that leads to no model; what the hub has is found out when it is loaded."""
        from bakery.engine.bases import bases

        is_path = name.startswith((".", "/", "~")) or name.endswith(GGUF)
        if is_path and not bases.is_here(self._bench.root / name):
            raise ConfigError(
                f"{name} cannot answer: there is no such model",
                hint="A folder with a config.json, or a .gguf file; paths count from input.yml.",
            )

    def content(self, model: str) -> str | None:
        """Return the digest of an answering model that is a folder or file; None for others."""
        from bakery.engine.bases import bases

        place = self._bench.root / model
        is_here = not model.startswith(HOSTED) and bases.is_here(place)
        return bases.content_digest(place) if is_here else None

    def _hosted(self, model: str, concurrency: int) -> Sampler:
        from bakery.backends.hosted import HostedSampler

        return HostedSampler(_endpoint(model), self.base().chat, concurrency=concurrency)

    def _named(self, name: str) -> Speaks | None:
        """Return a model of this machine by its name; None where an endpoint is meant."""
        from bakery.backends import endpoint

        kind = kind_of(name)
        if kind == "base" or name == self._base_id.name:
            return self._baked(None)
        if self.is_hosted(name):
            return None
        if kind in ("bake", "word"):
            bake = self._bench.find_model(name)
            return self._baked(bake.model if bake else None)
        # A server of one's own calls its models by hub ids: where there is one, it is asked.
        at_hub = "/" in name and not name.startswith((".", "/", "~"))
        served = at_hub and not isinstance(endpoint.endpoint_for(name), str)
        return None if served else self._local(name)

    def _baked(self, model: ModelRef | None) -> Speaks:
        """Return a bake; None: the base."""
        if model is None:
            return Speaks(self._base_id, self._base_id.name)
        return Speaks(self._base_id, str(model), self._bench.weights(model))

    def _local(self, name: str) -> Speaks:
        """Return a model by path, hub id or embedded name; paths are seen from input.yml."""
        from bakery.engine.bases import bases

        place = self._bench.root / name
        found = bases.identify(str(place) if bases.is_here(place) else name)
        return self._baked(None) if found.digest == self._base_id.digest else Speaks(found, name)

    def _loaded(self, speaks: Speaks) -> LocalModel:
        is_bare = speaks.base == self._base_id and speaks.folder is None
        return self.bare() if is_bare else self._kept(speaks)

    def _kept(self, speaks: Speaks) -> LocalModel:
        if self._other is None or self._other[0] != speaks:
            self._other = None  # first, so that two are never in memory
            model = self._speaking(self._load(speaks.base), speaks.name, speaks.folder)
            self._other = speaks, model
        return self._other[1]

    def _numbers(self, base: BaseModelId) -> tuple[str, str | None]:
        """Return the type of number and the attention that a base is loaded with."""
        own = base.digest == self._base_id.digest
        return self._how if own else (defaults_for(base).dtype, None)

    def _speaking(self, base: BaseModel, name: str, parent: Path | None = None) -> LocalModel:
        from bakery.backends.local import LocalModel

        return LocalModel(base, name=name, parent=parent, watch=self._reporter.partly)

    def _load(self, base: BaseModelId) -> BaseModel:
        self._reporter.note(f"loading {base.name}")
        dtype, attention = self._numbers(base)
        with self._reporter.doing("loading"):
            from bakery.engine.models import models

            return models.load(base, dtype=dtype, attention=attention, reporter=self._reporter)


def _for_another(model: LocalModel, learner: BaseModel) -> Sampler:
    """Return a model that answers in the place of the one that learns; it has to share tokens."""
    from bakery.backends.local import AnsweringForAnother

    _check_tokens(model.name, model.base.chat, learner.id.name, learner.chat)
    return AnsweringForAnother(model)


def _check_tokens(name: str, chat: Chat, learner: str, learner_chat: Chat) -> None:
    from bakery.backends.local import same_tokens

    if not same_tokens(chat, learner_chat):
        raise ModelError(
            f"{name} does not share the tokens of {learner}: its answers would be "
            "other words to the model that learns them",
            hint="Let a model of the same family answer, or a hosted one, whose text is read anew.",
        )


def _endpoint(model: str) -> Endpoint:
    from bakery.backends.endpoint import endpoint_for

    found = endpoint_for(model)
    if isinstance(found, str):
        raise ConfigError(
            f"{model.removeprefix(HOSTED)} cannot answer: {found}",
            hint="Set it in the environment. If you mean a model on this machine: "
            "`bgit models` lists the bakes, and a folder begins with ./",
        )
    return found
