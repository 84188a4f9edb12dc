"""A plan as plain data: every name fixed, nothing done yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bakery.defaults import LATEST
from bakery.errors import ConfigError
from bakery.identity import BakeRequest, BaseModelId, RolloutRequest, StimRequest
from bakery.records import ModelRef, Prompt


@dataclass(frozen=True, slots=True)
class RecordedTarget:
    """A target of an earlier bake: what a later `datasets` entry may name."""

    name: str
    id: str
    teacher: Prompt
    student: Prompt
    backend: str | None = None
    """What answered in place of a model; None: a model did."""
    is_in_chain: bool = True
    """Whether a bake that the current model was made of has it in its mix."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the first row says in the place of each variable of its prompts."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a branch stands: who owns it, what it is based on, which bake is current."""

    owner: str
    repo: str
    base: BaseModelId
    parent: ModelRef | None = None
    targets: Mapping[str, RecordedTarget] = field(default_factory=dict)
    models: Mapping[str, ModelRef | None] = field(default_factory=dict)
    """The bakes that `TARGET.model_name` names, by what it says; None: the base."""
    defaults: int = LATEST
    """The version of the defaults that the repository plans by, where input.yml names none."""
    backend: str | None = None
    """What writes and answers in place of all models (`BACKENDS`); None: models do."""
    student: BaseModelId | None = None
    """The base that the bake is made on in place of `base`, which teaches; None: none is named."""
    rank: int = 0
    """Of the adapter of `parent`."""


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """One target: its questions, its answers, and the prompt that will trigger them."""

    name: str
    """The full name: `<TARGET.name>_<16 hex>`."""
    base_name: str
    stim: StimRequest
    rollout: RolloutRequest
    student: Prompt


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests with their names; no bake where input.yml has no BAKE."""

    head: Head
    targets: tuple[PlannedTarget, ...] = ()
    bake: BakeRequest | None = None
    bake_name: str | None = None
    warnings: tuple[str, ...] = ()
    """What is accepted and done differently: a sentence each, with its place in the file."""
    sources: tuple[str, ...] = ()
    """The files that input.yml names: prompts, templates and data."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is configured, as after a bake."""
        return not self.targets and self.bake is None

    def model_ref(self, step: int) -> ModelRef:
        """Return the name of the model that this plan's bake gives at a step."""
        if self.bake_name is None:
            raise ConfigError("no BAKE is configured")
        return ModelRef(self.head.owner, self.head.repo, self.bake_name, step)
