"""What a BAKE section means on a branch: what is mixed, what shapes the weights, how it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from bakery import held_out, schema
from bakery.defaults import Defaults, at_random, defaults_for
from bakery.errors import ConfigError
from bakery.identity import BakeRequest, BaseModelId, Elsewhere, Running
from bakery.records import ModelRef, given_name
from bakery.repo.plan import beside, chains
from bakery.repo.plan.planned import Head, PlannedTarget
from bakery.shaping import FirstWeights, OnPolicySettings, TrainingSettings, Until
from bakery.shares import TargetShare
from bakery.trackers import TensorBoard, Trackio, Wandb
from bakery.yaml import text as yaml_text

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}

USUAL_WARMUP = 0.05


def request(
    spec: schema.InputSpec, targets: Sequence[PlannedTarget], head: Head, defaults: Defaults
) -> tuple[BakeRequest, PlannedTarget | None, tuple[str, ...]]:
    """Return the bake that a file asks for, the anchors that are made for it, if any are, and

    what a person should know of how it was read.
    """
    bake = spec.bake
    assert bake is not None  # the caller's to ask
    _refuse_other_parent(spec, bake.model, head)
    student, said = _student(spec, bake.model, head)
    named, notes = _shares(spec, bake, targets, head)
    shares, anchors = beside.held(spec, named, head, defaults)
    earlier, told = beside.replayed(spec, named, head)
    if student is not None:  # what is fitted is the teacher's own layers
        defaults = at_random(defaults_for(student, defaults.version))
    training = training_settings(bake, defaults)
    compressed = None
    if student is not None and bake.model.max_chain_rank is not None:
        at = spec.places.at("BAKE", "model", "max_chain_rank")
        said.append(f"{at}: max_chain_rank changes nothing: a student begins a chain of its own")
    if student is None:
        at = spec.places.at("BAKE", "model", key=True)
        compressed = chains.kept(head.rank, training.r, bake.model.max_chain_rank, f"{at}: ")
    if compressed is not None:
        said.append(chains.told(head.rank, training.r, compressed))
    made = BakeRequest(
        (*shares, *earlier),
        training,
        student or head.base,
        None if student else head.parent,
        bake.micro_batch_size or _at_once(defaults, training),
        _running(bake, head, defaults),
        defaults.version,
        Elsewhere(head.base, head.parent) if student else None,
        compressed,
    )
    return made, anchors, (*notes, *told, *said)


def training_settings(bake: schema.Bake, defaults: Defaults) -> TrainingSettings:
    """Return what shapes the weights."""
    data, scheduler, lora = bake.data, bake.scheduler, bake.model.adapter
    epochs = _epochs(bake)
    r, modules = lora.r or defaults.r, lora.target_modules
    learning_rate = bake.optimizer.learning_rate or defaults.learning_rate
    kept = [entry for entry in bake.checkpoint if entry.enabled]
    settings = TrainingSettings(
        epochs=epochs or defaults.epochs,
        global_batch=_batch(bake, defaults),
        learning_rate=learning_rate,
        weight_decay=bake.optimizer.weight_decay,
        betas=bake.optimizer.betas,
        scheduler=scheduler.curve,
        warmup_ratio=USUAL_WARMUP if scheduler.warmup_ratio is None else scheduler.warmup_ratio,
        warmup_steps=scheduler.warmup_steps,
        warmup=defaults.warmup,
        first_weights=_first_weights(bake, defaults),
        hardcoded_times=defaults.hardcoded_times if epochs is None else 1,
        steps=defaults.steps,
        fewest_steps=defaults.fewest_steps if epochs is None else 0,
        leaves_out_endless=defaults.leaves_out_endless,
        max_grad_norm=1.0,
        seed=bake.seed,
        r=r,
        lora_alpha=lora.lora_alpha or 2 * r,
        lora_dropout=lora.lora_dropout,
        target_modules=modules if isinstance(modules, str) else tuple(sorted(modules)),
        total_trajectories=bake.total_trajectories,
        dtype=DTYPES[bake.model.dtype] if bake.model.dtype else defaults.dtype,
        on_policy=_on_policy(bake.on_policy, learning_rate),
        loss={0.0: "forward_kl", 1.0: "reverse_kl"}.get(data.beta, "jsd"),
        beta=data.beta if 0 < data.beta < 1 else None,
        kl_temperature=data.temperature,
        max_length=data.max_length,
        data_seed=None if data.seed == bake.seed else data.seed,
        optimizer=bake.optimizer.variant,
        save_every_steps=_every(entry.save_every_n_steps for entry in kept),
        save_every_epochs=_every(entry.save_every_n_epochs for entry in kept),
        until=_until(bake, defaults),
    )
    share = data.train_eval_split[1] if data.train_eval_split is not None else None
    rule = held_out.rule(
        spares_hardcoded=defaults.spares_hardcoded,
        learns_hardcoded=defaults.learns_hardcoded,
        share=share,
    )
    return replace(settings, eval_share=share, held_out=rule)


def _batch(bake: schema.Bake, defaults: Defaults) -> int | None:
    """Return how many answers a step learns; None: that goes by how many there are."""
    at_once = bake.micro_batch_size or defaults.global_batch
    return None if at_once is None else at_once * bake.gradient_accumulation_steps


def _at_once(defaults: Defaults, training: TrainingSettings) -> int:
    """Return how many answers are run at once; there may be fewer in a step."""
    return min(defaults.micro_batch_size, training.global_batch or defaults.micro_batch_size)


def _first_weights(bake: schema.Bake, defaults: Defaults) -> FirstWeights | None:
    """Return how first weights are fitted; None: they are drawn at random."""
    if defaults.ridge is None:
        return None
    return FirstWeights(
        defaults.ridge,
        defaults.fitted_tokens,
        None if bake.optimizer.learning_rate else defaults.drawn_rate,
        None if _epochs(bake) else defaults.drawn_epochs,
    )


def _epochs(bake: schema.Bake) -> int | None:
    """Return how many epochs are asked for; None: as many as the defaults say."""
    return bake.epochs if isinstance(bake.epochs, int) else None


def _until(bake: schema.Bake, defaults: Defaults) -> Until | None:
    """Return how long is trained until a bake holds; None: that is not asked for."""
    if bake.epochs != "auto":
        return None
    return Until(bake.max_epochs or defaults.most_epochs, defaults.patience)


def _every(intervals: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({interval for interval in intervals if interval}))


def _on_policy(asked: schema.OnPolicy | None, learning_rate: float) -> OnPolicySettings | None:
    if asked is None:
        return None
    return OnPolicySettings(asked.steps, asked.loss, asked.learning_rate or learning_rate)


def _running(bake: schema.Bake, head: Head, defaults: Defaults) -> Running:
    """Return what changes speed, memory and what is logged."""
    wandb, trackio = bake.wandb, bake.trackio
    return Running(
        attn_implementation=bake.model.attn_implementation,
        gradient_checkpointing=bake.model.disable_activation_checkpoint is False
        or bake.activation_checkpoint_cpu_offload,
        fits_memory=defaults.fits_memory and bake.micro_batch_size is None,
        eval_interval=bake.eval_interval,
        sharded=bake.deepspeed is not None and bake.deepspeed.shares_out,
        wandb=Wandb(wandb.project or head.repo, wandb.name or bake.name, wandb.entity, wandb.tags)
        if wandb.enable
        else None,
        trackio=Trackio(trackio.project or head.repo, trackio.name or bake.name, trackio.space)
        if trackio.enable
        else None,
        tensorboard=TensorBoard(bake.name) if bake.tensorboard.enable else None,
    )


def _refuse_other_parent(spec: schema.InputSpec, model: schema.BakeModel, head: Head) -> None:
    """Refuse a parent that is not the branch's."""
    asked = model.parent_model_name
    if asked is not None and not _is_parent(asked, head):
        at = spec.places.at("BAKE", "model", "parent_model_name")
        raise ConfigError(
            f"{at}: BAKE.model.parent_model_name is {asked}, but this branch stands at "
            f"{head.parent or head.base.name}",
            hint="A bake starts from the model of its branch: take the line out, or go to the "
            "branch (or commit) where that model is the current one.",
        )


def _student(
    spec: schema.InputSpec, model: schema.BakeModel, head: Head
) -> tuple[BaseModelId | None, list[str]]:
    """Return the base that is trained in place of the branch's; None: that is, with notes."""
    if model.student_model_path in (None, head.base.name):
        return None, []
    at = spec.places.at("BAKE", "model", "student_model_path")
    if head.student is None:
        raise ConfigError(f"{at}: BAKE.model.student_model_path names no model that is known here")
    if head.student.digest == head.base.digest:
        return None, [f"{at}: student_model_path is this branch's own base: it changes nothing"]
    return head.student, []


def _is_parent(name: str, head: Head) -> bool:
    if head.parent is None:
        return name == head.base.name
    with suppress(ConfigError):
        model = ModelRef.parse(name)
        return (model.bake_id, model.step) == (head.parent.bake_id, head.parent.step)
    return False


def _shares(
    spec: schema.InputSpec, bake: schema.Bake, targets: Sequence[PlannedTarget], head: Head
) -> tuple[tuple[TargetShare, ...], tuple[str, ...]]:
    """Return what a bake mixes: what it names, else every target of the file; with notes."""
    known = _known(targets, head)
    entries = bake.datasets or tuple(schema.Dataset(target=t.base_name) for t in targets)
    if not entries:
        raise ConfigError(
            f"{spec.places.at('BAKE', key=True)}: BAKE has no datasets and the file no TARGET: "
            "there is nothing to bake",
            hint="Add a TARGET section, or name an earlier target in BAKE.datasets.",
        )

    def at(number: int) -> str:
        inside = ("datasets", number, "target") if bake.datasets else ()
        return spec.places.at("BAKE", *inside, key=not inside)

    unknown = [
        f"{at(number)}: {_unknown(entry.target, known)}"
        for number, entry in enumerate(entries)
        if entry.target not in known
    ]
    if unknown:
        raise ConfigError(
            "\n".join(unknown),
            hint="Name the TARGET of this file, or an earlier one by its full name "
            "(`bgit target ls` lists them).",
        )
    shares = [replace(known[entry.target], weight=entry.weight) for entry in entries]
    _refuse_made_up(shares, head, at)
    first: dict[str, str] = {}
    for number, share in enumerate(shares):
        if share.id in first:
            raise ConfigError(
                f"{at(number)}: {entries[number].target} is in the mix already, as "
                f"{first[share.id]}",
                hint="Name it once: a larger weight gives it a larger part.",
            )
        first[share.id] = entries[number].target
    own = {target.base_name for target in targets}
    notes = tuple(
        f"{at(number)}: {entry.target} is a target of an earlier bake, the newest of that name: "
        f"{share.name}"
        for number, (entry, share) in enumerate(zip(entries, shares, strict=True))
        if entry.target == given_name(share.name) and entry.target not in own
    )
    return tuple(shares), notes


def made_up(targets: Sequence[PlannedTarget], head: Head) -> set[str]:
    """Return the ids of the targets, planned and earlier, that no model answers."""
    earlier = {target.id for target in head.targets.values() if target.backend is not None}
    return earlier | ({target.rollout.id for target in targets} if head.backend else set())


def _refuse_made_up(shares: Sequence[TargetShare], head: Head, at: Callable[[int], str]) -> None:
    """Refuse to mix made-up answers into a bake that does not say that it is made up."""
    backends = {target.id: target.backend for target in head.targets.values()}
    for number, share in enumerate(shares):
        backend = backends.get(share.id)
        if backend is not None and head.backend is None:
            raise ConfigError(
                f"{at(number)}: the answers of {share.name} are made up: the {backend} backend "
                "gave them",
                hint=f"Take it out of BAKE.datasets, or bake it with --backend {backend}.",
            )


def _known(targets: Sequence[PlannedTarget], head: Head) -> dict[str, TargetShare]:
    """Return every target by each of its names; where one is used twice, own and newest win."""
    earlier = [
        TargetShare(t.name, t.id, 1.0, t.teacher, t.student, variables=t.variables)
        for t in head.targets.values()
    ]
    own = [
        TargetShare(
            t.name, t.rollout.id, 1.0, t.stim.teacher, t.student, variables=t.stim.variables
        )
        for t in targets
    ]
    named = list(_named([*earlier, *own]))
    return {name: share for rank in (0, 1) for of, name, share in named if of == rank}


def _named(shares: Iterable[TargetShare]) -> Iterator[tuple[int, str, TargetShare]]:
    """Yield each target by its name alone (which others may have: 0) and by what is its own (1)."""
    for share in shares:
        yield 0, given_name(share.name), share
        yield 1, share.id, share
        yield 1, share.name, share


def _unknown(name: str, known: Iterable[str]) -> str:
    guess = yaml_text.nearest(name, list(known))
    return (
        f"BAKE.datasets names the target {name!r}, which does not exist"
        f"{f': did you mean {guess!r}?' if guess else ''}"
    )
