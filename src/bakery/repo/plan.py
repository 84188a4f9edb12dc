"""Every name fixed, nothing done yet.

`resolve` is pure: no git, no files, no clock, no environment. `status`, `run` and all that
shows or does anything use it, so they cannot disagree on a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests with their names; None where input.yml does not configure a stage."""

    head: Head
    stim: StimRequest | None = None
    rollout: RolloutRequest | None = None
    target_name: str | None = None
    bake: BakeRequest | None = None
    bake_name: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is configured, as after a bake."""
        return self.stim is None and self.bake is None

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
    stim = rollout = target_name = None
    own: dict[str, RecordedTarget] = {}
    if spec.target is not None and spec.prompt is not None:
        stim = _stim(spec, spec.prompt, spec.target)
        rollout = _rollout(stim, spec.target, head, defaults)
        target_name = f"{spec.target.name}_{rollout.id}"
        target = RecordedTarget(target_name, rollout.id, stim.teacher, spec.prompt.student.prompt())
        own = {spec.target.name: target, target_name: target}
    if spec.bake is None:
        return Plan(head, stim, rollout, target_name)
    bake = _bake(spec.bake, own, head, defaults)
    return Plan(head, stim, rollout, target_name, bake, f"{spec.bake.name}_{bake.id}")


def _stim(spec: schema.InputSpec, prompt: schema.Prompts, target: schema.Target) -> StimRequest:
    generators = tuple(_generator_data(g) for g in target.generators)
    return StimRequest(prompt.teacher.prompt(), generators, spec.templates)


def _generator_data(generator: schema.Generator) -> dict[str, object]:
    data: dict[str, object] = generator.model_dump(exclude_none=True, mode="json")
    if generator.type == "hardcoded":
        data.pop("numq", None)  # says what the list says
    return data


def _rollout(
    stim: StimRequest, target: schema.Target, head: Head, defaults: Defaults
) -> RolloutRequest:
    sampling = SamplingSettings(
        num_traj_per_stimulus=target.num_traj_per_stimulus or defaults.num_traj_per_stimulus,
        max_tokens=target.max_tokens or defaults.max_tokens,
        temperature=target.temperature,
        top_p=target.extra_kwargs.top_p,
        top_k=target.extra_kwargs.top_k,
    )
    return RolloutRequest(stim.id, stim.teacher, sampling, head.base, head.parent)


def _bake(
    bake: schema.Bake, own: Mapping[str, RecordedTarget], head: Head, defaults: Defaults
) -> BakeRequest:
    known = {**head.targets, **own}
    entries = bake.datasets or tuple(
        schema.Dataset(target=name) for name in own if name != own[name].name
    )
    if not entries:
        raise ConfigError(
            "BAKE has no datasets and the file no TARGET: there is nothing to bake",
            hint="Add a TARGET section, or name an earlier target in BAKE.datasets.",
        )
    shares = tuple(_share(entry, known) for entry in entries)
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


def _share(entry: schema.Dataset, known: Mapping[str, RecordedTarget]) -> TargetShare:
    target = known.get(entry.target)
    if target is None:
        guess = yaml_text.nearest(entry.target, list(known))
        raise ConfigError(
            f"BAKE.datasets names the target {entry.target!r}, which does not exist",
            hint=(
                f"Did you mean {guess!r}?"
                if guess
                else "Name the TARGET of this file, or an earlier one by its full name "
                "(`bgit show HEAD:recipe.yml` lists them)."
            ),
        )
    return TargetShare(target.name, target.id, entry.weight, target.teacher, target.student)
