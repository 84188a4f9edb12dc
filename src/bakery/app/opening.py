"""The models of one run: found by what input.yml calls them, loaded when first needed.

The base and the parent are kept; of others only the one that was used last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.app.called import Called, Speaks, check_tokens, endpoint_of
from bakery.app.workbench import Workbench
from bakery.defaults import defaults_for
from bakery.identity import BaseModelId, RolloutRequest
from bakery.records import FAKE, ModelRef
from bakery.reporting import Reporter
from bakery.schema.model_names import HOSTED

if TYPE_CHECKING:
    from bakery.backends.base import QuestionWriter, Sampler
    from bakery.backends.local import LocalModel
    from bakery.engine.models.models import BaseModel
    from bakery.engine.text.chat import Chat
    from bakery.pool.pool import Pool


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
        self._called = Called(bench, base)
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

    def let_go(self) -> None:
        """Let go of every model: what follows needs the memory."""
        if self._base or self._other:
            from bakery.engine import memory

            self._other = self._teacher = self._base = None
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
        found = None if name is None else self._called.named(name)
        if name is not None and found is None:
            answer = self.cannot_ask(name) or hosted.writer_for(name)
            if not isinstance(answer, str):
                return answer, None
            instead = f"{name} cannot write the questions: {answer}; {base} writes them instead"
        return self._writing(found or Speaks(self._base_id, base)), instead

    def _writing(self, speaks: Speaks) -> QuestionWriter:
        from bakery.backends import writers

        if self._pool is not None:
            self.let_go()
            return self._pool.writer(self._called.who(speaks))
        return writers.writer_for(self._loaded(speaks))

    def is_hosted(self, name: str | None) -> bool:
        """Tell whether an endpoint is meant where a writer is called so."""
        return self._called.is_hosted(name)

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
            self.let_go()
            return self._pool.sampler(self._called.who_answers(request, self.chat()))
        if request.model == FAKE:
            from bakery.backends.fake import FakeSampler

            return FakeSampler(self.chat())
        if request.model is not None and request.model.startswith(HOSTED):
            return self._hosted(request.model, request.max_concurrency)
        if request.model is not None:
            model = self._loaded(self._called.local(request.model))
            return _for_another(model, self.base())
        if request.parent == self._parent:
            return self.teacher()
        return self._loaded(self._called.baked(request.parent))

    def expect(self, request: RolloutRequest) -> None:
        """Refuse a request whose answering model is not available, before anything is loaded."""
        if request.model is not None and request.model.startswith(HOSTED):
            endpoint_of(request.model)
        elif request.model not in (None, FAKE):
            self._called.check_here(str(request.model))
        elif request.parent is not None and request.parent != self._parent:
            self._bench.weights(request.parent)

    def content(self, model: str) -> str | None:
        """Return the digest of an answering model that is a folder or file; None for others."""
        return self._called.content(model)

    def _hosted(self, model: str, concurrency: int) -> Sampler:
        from bakery.backends.hosted import HostedSampler

        return HostedSampler(endpoint_of(model), self.base().chat, concurrency=concurrency)

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

    check_tokens(model.name, model.base.chat, learner.id.name, learner.chat)
    return AnsweringForAnother(model)
