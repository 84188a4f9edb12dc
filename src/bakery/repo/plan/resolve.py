"""From input.yml and where the branch stands to a plan.

`resolve` is pure: no git, no files, no clock, no environment. `status`, `run` and all that
shows or does anything use it, so they cannot disagree on a name.
"""

from __future__ import annotations

from typing import Any

from bakery import schema
from bakery.defaults import Defaults, defaults_for
from bakery.errors import ConfigError
from bakery.identity import (
    RolloutRequest,
    SamplingSettings,
    StimRequest,
)
from bakery.records import BACKENDS, ModelRef, Prompt
from bakery.repo.plan import bake as bake_plan
from bakery.repo.plan.planned import Head, Plan, PlannedTarget
from bakery.schema.generators import PERSONA_QUESTIONS
from bakery.schema.model_names import EMBEDDED, HOSTED, kind_of, served_as

CONCURRENCY = 10
"""Requests at once to a hosted model, where input.yml says nothing."""


def resolve(spec: schema.InputSpec, head: Head) -> Plan:
    """Fix every request and name that `spec` means when it is run on `head`."""
    defaults = defaults_for(head.base, spec.defaults or head.defaults)
    targets = tuple(
        _target(number, target, spec, head, defaults) for number, target in enumerate(spec.targets)
    )
    if spec.bake is None:
        return Plan(head, targets, warnings=spec.warnings, sources=spec.sources)
    bake, anchors, notes = bake_plan.request(spec, targets, head, defaults)
    targets += () if anchors is None else (anchors,)
    # What is made up shows in every list; a bake over nothing but earlier targets may not be.
    made_up = any(share.id in bake_plan.made_up(targets, head) for share in bake.shares)
    base_name = f"{head.backend}_{spec.bake.name}" if made_up else spec.bake.name
    name, warnings = f"{base_name}_{bake.id}", (*spec.warnings, *notes)
    return Plan(head, targets, bake, name, warnings, spec.sources)


def _target(
    number: int, target: schema.Target, spec: schema.InputSpec, head: Head, defaults: Defaults
) -> PlannedTarget:
    teacher, student = target.prompts(spec.prompts)
    stim = _stim(spec, target, teacher, head, defaults)
    answering = _answering(number, target, spec, head)
    rollout = _rollout(stim, target, student, answering, head, defaults)
    return PlannedTarget(f"{target.name}_{rollout.id}", target.name, stim, rollout, student)


def _stim(
    spec: schema.InputSpec, target: schema.Target, teacher: Prompt, head: Head, defaults: Defaults
) -> StimRequest:
    generators = tuple(_generator_data(g, head, defaults) for g in target.generators)
    files = {g["dataset"]: spec.files[g["dataset"]] for g in generators
             if g.get("dataset") in spec.files}  # fmt: skip
    variables = spec.variables.get(target.name, {})
    return StimRequest(teacher, generators, spec.templates, files, defaults.version, variables)


def _generator_data(generator: schema.Generator, head: Head, defaults: Defaults) -> dict[str, Any]:
    """Return what shapes the questions; what is said twice or changes nothing is not in it."""
    data: dict[str, Any] = generator.model_dump(exclude_none=True, mode="json")
    writer = head.models.get(data.get("model", ""))
    if data.get("fallback"):
        del data["fallback"]
    for key in ("rollout_with_conditioned", "hold_out"):
        if not data.get(key):
            data.pop(key, None)
    by_rules = generator.type == "facts" and generator.model is None
    if by_rules or generator.type in ("hardcoded", "from_dataset", "persona"):
        for key in ("max_tokens", "temperature", "model"):
            data.pop(key, None)
    else:
        if defaults.question_temperature is not None:
            data.setdefault("temperature", defaults.question_temperature)
        if head.backend is not None:
            data["model"] = BACKENDS[head.backend]
        elif writer is not None:  # by its full name: a short one may mean another bake later
            data["model"] = str(writer)
    if generator.type == "hardcoded":
        data.pop("numq", None)
    if generator.type == "persona":
        data.setdefault("numq", PERSONA_QUESTIONS)
    return data


def _rollout(
    stim: StimRequest,
    target: schema.Target,
    student: Prompt,
    answering: tuple[ModelRef | None, str | None],
    head: Head,
    defaults: Defaults,
) -> RolloutRequest:
    extras = target.extra_kwargs
    parent, model = answering
    # Of hosted models nobody here counts the tokens.
    counted = model is None or not model.startswith(HOSTED)
    sampling = SamplingSettings(
        num_traj_per_stimulus=target.num_traj_per_stimulus or defaults.num_traj_per_stimulus,
        max_tokens=target.max_tokens or defaults.max_tokens,
        probed=defaults.probed if counted and target.max_tokens is None else 0,
        temperature=defaults.temperature if target.temperature is None else target.temperature,
        likeliest_first=defaults.likeliest_first and target.temperature is None,
        endpoint=extras.passed,
        **extras.model_dump(),
    )
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
        defaults.version,
    )


def _answering(
    number: int, target: schema.Target, spec: schema.InputSpec, head: Head
) -> tuple[ModelRef | None, str | None]:
    """Return the bake that answers (None: the base), or the name of another model."""
    if head.backend is not None:
        return None, BACKENDS[head.backend]
    name = target.model_name
    if name is None:
        return head.parent, None
    kind = kind_of(name)
    if kind == "hosted" or (kind == "word" and name not in head.models):
        return None, HOSTED + served_as(name)
    if target.extra_kwargs.passed:
        unknown = ", ".join(f"`{key}`" for key in target.extra_kwargs.passed)
        key = next(iter(target.extra_kwargs.passed))
        at = spec.places.at("TARGET", number, "extra_kwargs", key, key=True)
        raise ConfigError(
            f"{at}: TARGET.extra_kwargs has {unknown}, which a local model does not support",
            hint=f"{name} is a model of this machine. Only endpoints are passed unknown arguments.",
        )
    if kind == "base" or name == head.base.name or {name, head.base.name} <= set(EMBEDDED):
        return None, None
    if kind == "local":
        return None, name
    if name not in head.models:
        at = spec.places.at("TARGET", number, "model_name")
        raise ConfigError(
            f"{at}: TARGET.model_name: there is no model {name!r} here",
            hint="`bgit models` lists the bakes there are.",
        )
    return head.models[name], None
