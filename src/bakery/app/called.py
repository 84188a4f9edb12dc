"""Which model a name of input.yml means: nothing of it is loaded, and no endpoint is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.app.workbench import Workbench
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId, RolloutRequest
from bakery.records import FAKE, ModelRef
from bakery.schema.model_names import GGUF, HOSTED, kind_of

if TYPE_CHECKING:
    from bakery.backends.endpoint import Endpoint
    from bakery.engine.text.chat import Chat
    from bakery.pool.work import Who


@dataclass(frozen=True, slots=True)
class Speaks:
    """A model of this machine before it is loaded: a base, and the folder of a bake on it."""

    base: BaseModelId
    name: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """Names as a run on one base means them."""

    bench: Workbench
    base: BaseModelId

    def named(self, name: str) -> Speaks | None:
        """Return a model of this machine by its name; None where an endpoint is meant."""
        from bakery.backends import endpoint

        kind = kind_of(name)
        if kind == "base" or name == self.base.name:
            return self.baked(None)
        if self.is_hosted(name):
            return None
        if kind in ("bake", "word"):
            bake = self.bench.find_model(name)
            return self.baked(bake.model if bake else None)
        # A server of one's own calls its models by hub ids: where there is one, it is asked.
        at_hub = "/" in name and not name.startswith((".", "/", "~"))
        served = at_hub and not isinstance(endpoint.endpoint_for(name), str)
        return None if served else self.local(name)

    def is_hosted(self, name: str | None) -> bool:
        """Tell whether an endpoint is meant where a writer is called so."""
        if name in (None, FAKE, self.base.name):
            return False
        kind = kind_of(str(name))
        return kind == "hosted" or (kind == "word" and not self.bench.names_bake(str(name)))

    def baked(self, model: ModelRef | None) -> Speaks:
        """Return a bake; None: the base."""
        if model is None:
            return Speaks(self.base, self.base.name)
        return Speaks(self.base, str(model), self.bench.weights(model))

    def local(self, name: str) -> Speaks:
        """Return a model by path, hub id or embedded name; paths are seen from input.yml."""
        from bakery.engine.bases import bases

        place = self.bench.root / name
        found = bases.identify(str(place) if bases.is_here(place) else name)
        return self.baked(None) if found.digest == self.base.digest else Speaks(found, name)

    def check_here(self, name: str) -> None:
        """Refuse a path that leads to no model; what the hub has is found out when it is loaded."""
        from bakery.engine.bases import bases

        is_path = name.startswith((".", "/", "~")) or name.endswith(GGUF)
        if is_path and not bases.is_here(self.bench.root / name):
            raise ConfigError(
                f"{name} cannot answer: there is no such model",
                hint="A folder with a config.json, or a .gguf file; paths count from input.yml.",
            )

    def content(self, model: str) -> str | None:
        """Return the digest of an answering model that is a folder or file; None for others."""
        from bakery.engine.bases import bases

        place = self.bench.root / model
        is_here = not model.startswith(HOSTED) and bases.is_here(place)
        return bases.content_digest(place) if is_here else None

    def who(self, speaks: Speaks) -> Who:
        """Return a model as a pool is told of it."""
        from bakery.pool.work import Who, files_of

        files = files_of(speaks.folder) if speaks.folder is not None else None
        return Who(speaks.base, speaks.name, defaults_for(speaks.base).dtype, files)

    def who_answers(self, request: RolloutRequest, chat: Chat) -> Who:
        """Return who answers, as a pool is told; `chat` is how the model that learns renders."""
        from bakery.engine.models import models
        from bakery.pool.work import Who

        model = request.model
        if model is None:
            return self.who(self.baked(request.parent))
        if model == FAKE or model.startswith(HOSTED):
            name = model.rpartition(":")[2] if model == FAKE else endpoint_of(model).model
            return Who(self.base, name, hosted=model, concurrency=request.max_concurrency)
        speaks = self.local(model)
        if speaks.base != self.base:
            check_tokens(speaks.name, models.load_chat(speaks.base), self.base.name, chat)
        return replace(self.who(speaks), for_another=True)


def check_tokens(name: str, chat: Chat, learner: str, learner_chat: Chat) -> None:
    """Refuse a model that answers in the place of another, and whose tokens are others."""
    from bakery.backends.local import same_tokens

    if not same_tokens(chat, learner_chat):
        raise ModelError(
            f"{name} does not share the tokens of {learner}: its answers would be "
            "other words to the model that learns them",
            hint="Let a model of the same family answer, or a hosted one, whose text is read anew.",
        )


def endpoint_of(model: str) -> Endpoint:
    """Return the endpoint that answers as a hosted model."""
    from bakery.backends.endpoint import endpoint_for

    found = endpoint_for(model)
    if isinstance(found, str):
        raise ConfigError(
            f"{model.removeprefix(HOSTED)} cannot answer: {found}",
            hint="Set it in the environment. If you mean a model on this machine: "
            "`bgit models` lists the bakes, and a folder begins with ./",
        )
    return found
