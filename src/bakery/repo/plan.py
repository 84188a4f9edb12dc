"""Every name fixed, nothing done yet.

`resolve` is pure: no git, no files, no clock, no environment. `status`, `run` and all that
shows or does anything use it, so they cannot disagree on a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bakery import schema, yaml_text
from bakery.errors import ConfigError
from bakery.identity import (
    BakeRequest,
    BaseModelId,
    OnPolicySettings,
    RolloutRequest,
    SamplingSettings,
    StimRequest,
    TargetShare,
    TrainingSettings,
)
from bakery.records import ModelRef, Prompt
from bakery.schema.generators import PERSONA_QUESTIONS
from bakery.schema.model_names import EMBEDDED, HOSTED, kind_of, served_as

CONCURRENCY = 10
"""Requests at once to a hosted model, where input.yml says nothing."""


@dataclass(frozen=True, slots=True)
class RecordedTarget:
    """A target of an earlier bake: what a later `datasets` entry may name."""

    name: str
    id: str
    teacher: Prompt
    student: Prompt


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

    @property
    def is_empty(self) -> bool:
        """Whether nothing is configured, as after a bake."""
        return not self.targets and self.bake is None

    def model_ref(self, step: int) -> ModelRef:
        """Return the name of the model that this plan's bake gives at a step."""
        if self.bake_name is None:
            raise ConfigError("no BAKE is configured")
        return ModelRef(self.head.owner, self.head.repo, self.bake_name, step)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What depends on the base model, where input.yml says nothing."""

    max_tokens: int = 512
    num_traj_per_stimulus: int = 1
    epochs: int = 3
    micro_batch_size: int = 4
    global_batch: int = 16
    learning_rate: float = 2e-4
    r: int = 32
    dtype: str = "auto"
    """Of the base's weights; `auto` is as they are stored."""


TINY_DEFAULTS = Defaults(
    max_tokens=96,
    num_traj_per_stimulus=2,
    epochs=3,
    micro_batch_size=16,
    learning_rate=2e-3,
    r=16,
    dtype="float32",
)
"""The embedded model: short answers and small matrices. Chosen by `tools/measure_tutorial.py`:
over the three tutorial bakes 2e-3 for 3 epochs came closer than 1e-3 for 4, in less time."""


def defaults_for(base: BaseModelId) -> Defaults:
    """Return the defaults of a base model."""
    return TINY_DEFAULTS if base.name.startswith("tiny-") else Defaults()


def resolve(spec: schema.InputSpec, head: Head) -> Plan:
    """Fix every request and name that `spec` means when it is run on `head`."""
    defaults = defaults_for(head.base)
    targets = tuple(_target(target, spec, head, defaults) for target in spec.targets)
    if spec.bake is None:
        return Plan(head, targets, warnings=spec.warnings)
    bake = _bake(spec, spec.bake, targets, head, defaults)
    return Plan(head, targets, bake, f"{spec.bake.name}_{bake.id}", spec.warnings)


def _target(
    target: schema.Target, spec: schema.InputSpec, head: Head, defaults: Defaults
) -> PlannedTarget:
    stim = _stim(spec, target)
    student = spec.prompts.get(target.student, schema.PromptSection()).prompt()
    rollout = _rollout(stim, target, student, head, defaults)
    return PlannedTarget(f"{target.name}_{rollout.id}", target.name, stim, rollout, student)


def _stim(spec: schema.InputSpec, target: schema.Target) -> StimRequest:
    generators = tuple(_generator_data(g) for g in target.generators)
    files = {g["dataset"]: spec.files[g["dataset"]] for g in generators
             if g.get("dataset") in spec.files}  # fmt: skip
    teacher = spec.prompts[target.teacher].prompt()
    return StimRequest(teacher, generators, spec.templates, files)


def _generator_data(generator: schema.Generator) -> dict[str, Any]:
    """Return what shapes the questions; what is said twice or changes nothing is not in it."""
    data: dict[str, Any] = generator.model_dump(exclude_none=True, mode="json")
    if not data["rollout_with_conditioned"]:
        del data["rollout_with_conditioned"]
    if generator.type in ("hardcoded", "from_dataset", "persona"):
        for key in ("max_tokens", "temperature", "model"):
            data.pop(key, None)
    if generator.type == "hardcoded":
        data.pop("numq", None)
    if generator.type == "persona":
        data.setdefault("numq", PERSONA_QUESTIONS)
    return data


def _rollout(
    stim: StimRequest, target: schema.Target, student: Prompt, head: Head, defaults: Defaults
) -> RolloutRequest:
    extras = target.extra_kwargs
    sampling = SamplingSettings(
        num_traj_per_stimulus=target.num_traj_per_stimulus or defaults.num_traj_per_stimulus,
        max_tokens=target.max_tokens or defaults.max_tokens,
        temperature=target.temperature,
        endpoint=extras.passed,
        **extras.model_dump(),
    )
    parent, model = _answering(target, head)
    conditioned = any(g.rollout_with_conditioned for g in target.generators)
    return RolloutRequest(
        stim.id,
        stim.teacher,
        sampling,
        head.base,
        parent,
        model,
        student if conditioned else None,
        target.max_concurrency or CONCURRENCY,
    )


def _answering(target: schema.Target, head: Head) -> tuple[ModelRef | None, str | None]:
    """Return the bake that answers (None: the base), or the name of another model."""
    name = target.model_name
    if name is None:
        return head.parent, None
    kind = kind_of(name)
    if kind == "hosted" or (kind == "word" and name not in head.models):
        return None, HOSTED + served_as(name)
    if target.extra_kwargs.passed:
        unknown = ", ".join(f"`{key}`" for key in target.extra_kwargs.passed)
        raise ConfigError(
            f"TARGET.extra_kwargs has {unknown}, which a local model cannot do",
            hint=f"{name} is a model of this machine. Only an endpoint is handed what it may know.",
        )
    if kind == "base" or name == head.base.name or {name, head.base.name} <= set(EMBEDDED):
        return None, None
    if kind == "local":
        return None, name
    return head.models[name], None


def _bake(
    spec: schema.InputSpec,
    bake: schema.Bake,
    targets: Sequence[PlannedTarget],
    head: Head,
    defaults: Defaults,
) -> BakeRequest:
    shares = _shares(spec, bake, targets, head)
    lora, micro = bake.model.baked_adapter_config, bake.micro_batch_size
    r = lora.r or defaults.r
    global_batch = (
        micro * bake.gradient_accumulation_steps
        if micro
        else defaults.global_batch * bake.gradient_accumulation_steps
    )
    modules = lora.target_modules
    learning_rate = bake.optimizer.learning_rate or defaults.learning_rate
    training = TrainingSettings(
        epochs=bake.epochs or defaults.epochs,
        global_batch=global_batch,
        learning_rate=learning_rate,
        weight_decay=bake.optimizer.weight_decay,
        betas=bake.optimizer.betas,
        scheduler="linear" if bake.scheduler.type == "huggingface" else bake.scheduler.type,
        warmup_ratio=0.05,
        max_grad_norm=1.0,
        seed=bake.seed,
        r=r,
        lora_alpha=lora.lora_alpha or 2 * r,
        lora_dropout=lora.lora_dropout,
        target_modules=modules if isinstance(modules, str) else tuple(sorted(modules)),
        total_trajectories=bake.total_trajectories,
        dtype=defaults.dtype,
        on_policy=_on_policy(bake.on_policy, learning_rate),
    )
    return BakeRequest(
        shares,
        training,
        head.base,
        head.parent,
        micro or min(defaults.micro_batch_size, global_batch),
    )


def _on_policy(asked: schema.OnPolicy | None, learning_rate: float) -> OnPolicySettings | None:
    if asked is None:
        return None
    return OnPolicySettings(asked.steps, asked.loss, asked.learning_rate or learning_rate)


def _shares(
    spec: schema.InputSpec, bake: schema.Bake, targets: Sequence[PlannedTarget], head: Head
) -> tuple[TargetShare, ...]:
    """Return what a bake mixes: what it names, else every target of the file."""
    known = dict(head.targets)
    for target in targets:
        own = RecordedTarget(target.name, target.rollout.id, target.stim.teacher, target.student)
        known |= {target.base_name: own, target.name: own}
    entries = bake.datasets or tuple(schema.Dataset(target=t.base_name) for t in targets)
    if not entries:
        raise ConfigError(
            f"{spec.places.at('BAKE', key=True)}: BAKE has no datasets and the file no TARGET: "
            "there is nothing to bake",
            hint="Add a TARGET section, or name an earlier target in BAKE.datasets.",
        )
    unknown = [
        f"{spec.places.at('BAKE', 'datasets', number, 'target')}: {_unknown(entry.target, known)}"
        for number, entry in enumerate(entries)
        if entry.target not in known
    ]
    if unknown:
        raise ConfigError(
            "\n".join(unknown),
            hint="Name the TARGET of this file, or an earlier one by its full name "
            "(`bgit target ls` lists them).",
        )
    return tuple(_share(entry, known[entry.target]) for entry in entries)


def _unknown(name: str, known: Mapping[str, RecordedTarget]) -> str:
    guess = yaml_text.nearest(name, list(known))
    return (
        f"BAKE.datasets names the target {name!r}, which does not exist"
        f"{f': did you mean {guess!r}?' if guess else ''}"
    )


def _share(entry: schema.Dataset, target: RecordedTarget) -> TargetShare:
    return TargetShare(target.name, target.id, entry.weight, target.teacher, target.student)
