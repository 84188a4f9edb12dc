"""What a plan would make and take, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bakery.repo.look.progress import StageStatus


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes questions: by name, by who was asked for where that is another, and of the rest.

    `rest` is who writes what is not there yet. None: all of it is, or no model writes it.
    """

    name: str
    asked: str | None = None
    rest: str | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """What one generator is asked for."""

    type: str
    writer: str
    """The model that really writes, or wrote, or where the questions stand."""
    wanted: int | None
    """None: all that its data set has."""
    share: float | None
    """Of the target's questions; None: not known before they are drawn."""
    asked: str | None = None
    """Who was asked to write. None: who does."""
    rest: str | None = None
    """Who writes what is not there yet. None: all of it is, or no model writes it."""


@dataclass(frozen=True, slots=True)
class TargetForecast:
    """One target: its questions, who answers them, and what is there."""

    name: str
    teacher: str
    student: str
    questions: int | None
    generators: tuple[Writing, ...]
    answers: int | None
    per_question: int
    max_tokens: int
    answered_by: str
    stim: StageStatus
    rollout: StageStatus
    template_prompt: tuple[str, int | None] | None = None
    """What the template writes to the bake by itself, and its tokens, if known. None: nothing."""


@dataclass(frozen=True, slots=True)
class BakeForecast:
    """The training: what it mixes, how long it is, what it starts from."""

    name: str
    mix: tuple[tuple[str, float], ...]
    """Each target, and its share of the mix."""
    replayed: tuple[str, ...]
    """Those of earlier bakes that are learnt again by `BAKE.replay`."""
    anchors: tuple[str, ...]
    """Those that hold the parent by `BAKE.retention`."""
    pairs: int | None
    """About how many answers are learnt in an epoch."""
    held_out: int | None
    """About how many questions the bake is measured on."""
    kept: tuple[str, ...]
    """Those of them that are known by now."""
    epochs: int
    most_epochs: int
    """With the rounds of `epochs: auto`."""
    steps: int | None
    """Without them."""
    global_batch: int | None
    """Answers of a step. None: it goes by how many there will be."""
    r: int
    lora_alpha: float
    learning_rate: float
    loss: str
    seed: int
    parent: str
    state: StageStatus


@dataclass(frozen=True, slots=True)
class Cost:
    """What the stages that are not complete would take. None: nothing was measured yet."""

    tokens: int | None
    """Tokens that are sampled."""
    tokens_are_bound: bool
    """Whether `tokens` is only what they cannot exceed."""
    disk_bytes: int | None
    seconds: Mapping[str, float | None]
    """By stage; a stage that is complete takes none."""
    measured_on: int
    """How many earlier results the rates are taken from."""
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    """What the process takes at its most, by stage; empty where the base's shape is not known."""
    worked_out: tuple[str, ...] = ()
    """Stages whose time comes from the base's shape: nothing like them was measured yet."""
    most_seconds: Mapping[str, float] = field(default_factory=dict)
    """About what a stage takes with every round of `epochs: auto`; empty without them, and where
    that is not known."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Everything that a plan says before anything runs."""

    repository: str
    base: str
    parent: str | None
    is_empty: bool
    targets: tuple[TargetForecast, ...]
    bake: BakeForecast | None
    cost: Cost
    warnings: tuple[str, ...]
