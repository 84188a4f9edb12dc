"""`BAKE`: one training run over a weighted mix of targets, and what is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bakery.schema.bake_running import BakeData, Checkpoint, DeepSpeed, DrawnBy
from bakery.schema.common import Count, Name, Number, Path, Section, Share
from bakery.schema.mixing import Dataset, Replay, Retention
from bakery.schema.optimizing import POLYNOMIAL_END, Optimizer, Scheduler, refused
from bakery.schema.trackers import TensorBoard, Trackio, Wandb

NO_PARENT_BY_HAND = (
    "was removed: a bake always starts from the branch's current model, which `.bread` names"
)

LORA_KEYS = ("r", "lora_alpha", "lora_dropout", "bias", "target_modules")


class AdapterConfig(Section):
    """The LoRA adapter that is trained."""

    r: Annotated[
        int | None,
        Field(
            ge=1,
            le=256,
            strict=True,
            description="Rank. A chain of bakes has 256 at most. Default: 32, of tiny models 16.",
        ),
    ] = None
    lora_alpha: Annotated[
        Number | None, Field(gt=0, description="Scale. Default: twice the rank.")
    ] = None
    lora_dropout: Annotated[
        Share, Field(description="Dropout on the adapter's input while training.")
    ] = 0.0
    bias: Annotated[str, Field(description="Which biases are trained: `none`.")] = "none"
    target_modules: Annotated[
        str | tuple[str, ...],
        Field(description="`all-linear`, or the names of the layers that get an adapter."),
    ] = "all-linear"

    @field_validator("bias")
    @classmethod
    def _is_none(cls, bias: str) -> str:
        if bias != "none":
            raise ValueError("only `none`: a chain of bakes is saved as one adapter without biases")
        return bias

    @field_validator("target_modules")
    @classmethod
    def _can_match(cls, modules: str | tuple[str, ...]) -> str | tuple[str, ...]:
        try:
            re.compile(modules if isinstance(modules, str) else "")
        except (re.error, RecursionError, OverflowError, MemoryError) as error:
            raise ValueError(f"is not a regular expression over layers' names: {error}") from error
        return modules


class BakeModel(Section):
    """What is trained on top of the parent, and how the frozen part is loaded."""

    type: Annotated[Literal["bake"], Field(description="An adapter on top of the parent.")] = "bake"
    parent_model_name: Annotated[
        str | None,
        Field(description="Has to be the branch's current model: the parent is never chosen here."),
    ] = None
    baked_adapter_config: Annotated[AdapterConfig, Field(description="The adapter.")] = (
        AdapterConfig()
    )
    dtype: Annotated[
        Literal["bf16", "fp16", "fp32"] | None,
        Field(
            description="Of the frozen weights while baking. Default: as stored, tiny models fp32."
        ),
    ] = None
    attn_implementation: Annotated[
        Literal["sdpa", "eager", "flash_attention_2"] | None,
        Field(
            description="How attention is computed, where this machine can. Default: as configured."
        ),
    ] = None
    disable_activation_checkpoint: Annotated[
        bool | None,
        Field(
            description="`false` computes activations twice to save memory. "
            "Default: they are kept, which is quicker."
        ),
    ] = None
    peft_config: Annotated[
        dict[str, Any],
        Field(description="Another place for the keys of `baked_adapter_config`."),
    ] = Field(default_factory=dict)
    save_name: Annotated[
        str | None, Field(description="No effect: a model is named by its bake and step.")
    ] = None
    student_model_path: Annotated[
        str | None,
        Field(
            description="Another base model with the same tokenizer, to be baked into in place of "
            "the branch's, which teaches it: a folder, a .gguf file or a hub id (docs/weights.md)."
        ),
    ] = None
    max_chain_rank: Annotated[
        int | None,
        Field(
            ge=2,
            le=4096,
            description="Ranks of the adapter with all bakes of the chain. Past it, those before "
            "this one are compressed (docs/weights.md). Default: 256.",
        ),
    ] = None
    name_or_path: Annotated[Any, refused(NO_PARENT_BY_HAND), Field(description="Removed.")] = None
    adapter_paths: Annotated[Any, refused(NO_PARENT_BY_HAND), Field(description="Removed.")] = None
    parent_peft_dir: Annotated[Any, refused(NO_PARENT_BY_HAND), Field(description="Removed.")] = (
        None
    )

    @property
    def adapter(self) -> AdapterConfig:
        """The adapter as both places say it together."""
        other = {key: self.peft_config[key] for key in LORA_KEYS if key in self.peft_config}
        return AdapterConfig(**other | self.baked_adapter_config.model_dump(exclude_unset=True))

    @model_validator(mode="after")
    def _says_one_thing(self) -> BakeModel:
        own = self.baked_adapter_config
        for key in LORA_KEYS:
            if key in self.peft_config and key in own.model_fields_set:
                raise ValueError(f"peft_config and baked_adapter_config both say {key}: keep one")
        try:
            self.adapter  # noqa: B018  # checks the values
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise ValueError(f"peft_config.{key}: {first['msg']}") from error
        return self

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        if self.parent_model_name is not None:
            yield ("parent_model_name",), "is not needed: the parent is the branch's current model"
        usual = {"peft_type": "LORA", "task_type": "CAUSAL_LM"}
        for key, value in self.peft_config.items():
            if key not in LORA_KEYS and usual.get(key) != value:
                said = f"peft_config.{key} has no effect: known are {', '.join(LORA_KEYS)}"
                yield ("peft_config", key), said
        if self.save_name is not None:
            yield ("save_name",), "save_name has no effect: a model is named by its bake and step"


class OnPolicy(Section):
    """A second phase, on the student's own answers. `true` takes every default."""

    steps: Annotated[Count, Field(description="Optimizer steps.")] = 40
    loss: Annotated[
        Literal["reverse_kl", "jsd"], Field(description="What keeps the student near the teacher.")
    ] = "reverse_kl"
    learning_rate: Annotated[Number | None, Field(gt=0, description="Default: the bake's.")] = None


class Bake(Section):
    """One training run over a weighted mix of targets."""

    name: Annotated[Name, Field(description="What the model is called; its id is added.")] = "bake"
    template: Annotated[
        str,
        Field(description="An earlier bake of this branch to start from: its section, under this."),
    ] = "default"
    type: Annotated[Literal["single_baker"], Field(description="The only kind of training.")] = (
        "single_baker"
    )
    model_name: Annotated[
        str | None, Field(description="No effect: the parent is always the branch's current model.")
    ] = None
    datasets: Annotated[
        tuple[Dataset, ...],
        Field(description="The targets of the mix. Default: all of this file, alike."),
    ] = ()
    replay: Replay = 0.0
    retention: Retention = 0.0
    epochs: Annotated[
        Count | Literal["auto"] | None,
        Field(
            description="Times that every pair is learnt; `auto`: as the default, then until it "
            "holds. Default: see docs/defaults.md."
        ),
    ] = None
    max_epochs: Annotated[
        Count | None,
        Field(
            description="Of `epochs: auto`, the most: what it begins with, at least. Default: 12."
        ),
    ] = None
    micro_batch_size: Annotated[
        Count | None,
        Field(description="Sequences at once. Default: 4, of tiny models 16, or as memory allows."),
    ] = None
    gradient_accumulation_steps: Annotated[
        Count,
        Field(
            description="Micro-batches of an optimizer step. Without micro_batch_size: of 16 pairs."
        ),
    ] = 1
    total_trajectories: Annotated[
        Count | None,
        Field(
            description="Size of the mix, without what is replayed. Default: all that the "
            "weights allow."
        ),
    ] = None
    seed: Annotated[
        DrawnBy, Field(description="What the adapter starts from, and all that is drawn.")
    ] = 42
    eval_interval: Annotated[
        int,
        Field(
            ge=0,
            strict=True,
            description="Steps between measurements on what is held out. 0: before and after.",
        ),
    ] = 0
    train_log_iter_interval: Annotated[
        int, Field(ge=0, strict=True, description="No effect: every step is logged.")
    ] = 1
    activation_checkpoint_cpu_offload: Annotated[
        bool,
        Field(description="Activations are computed twice instead, which saves as much memory."),
    ] = False
    model: Annotated[BakeModel, Field(description="What is trained on top of the parent.")] = (
        BakeModel()
    )
    data: Annotated[BakeData, Field(description="How pairs are chosen and compared.")] = BakeData()
    optimizer: Annotated[Optimizer, Field(description="AdamW and its settings.")] = Optimizer()
    scheduler: Annotated[Scheduler, Field(description="The learning rate over time.")] = Scheduler()
    on_policy: Annotated[
        OnPolicy | None,
        Field(description="A second phase on the student's own answers. Default: none."),
    ] = None
    checkpoint: Annotated[
        tuple[Checkpoint, ...], Field(description="Which steps are kept as models of their own.")
    ] = ()
    deepspeed: Annotated[
        DeepSpeed | None,
        Field(description="Stage 3: several processes share the base's weights out."),
    ] = None
    wandb: Annotated[
        Wandb, Field(description="Where the figures are sent, besides metrics.jsonl.")
    ] = Wandb()
    trackio: Annotated[Trackio, Field(description="The same figures in trackio.")] = Trackio()
    tensorboard: Annotated[TensorBoard, Field(description="And for TensorBoard.")] = TensorBoard()

    @field_validator("datasets", "checkpoint", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("on_policy", mode="before")
    @classmethod
    def _switch_or_settings(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {} if value else None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Bake:
        rate = self.optimizer.learning_rate
        if self.scheduler.curve == "polynomial" and rate is not None and rate <= POLYNOMIAL_END:
            raise ValueError(
                f"a polynomial falls to {POLYNOMIAL_END:g}: optimizer.learning_rate must be larger"
            )
        if self.max_epochs is not None and self.epochs != "auto":
            raise ValueError("max_epochs is for `epochs: auto`: write that, or take it out")
        if self.epochs == "auto" and self.on_policy is not None:
            raise ValueError("epochs: auto and on_policy both follow the training: keep one")
        if self.activation_checkpoint_cpu_offload and self.model.disable_activation_checkpoint:
            raise ValueError(
                "activation_checkpoint_cpu_offload needs activation checkpointing, which "
                "model.disable_activation_checkpoint turns off: keep one"
            )
        return self

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        if self.model_name is not None:
            said = "model_name has no effect: the parent is always the branch's current model"
            yield ("model_name",), said
        if self.train_log_iter_interval != 1:
            yield ("train_log_iter_interval",), "every step is logged, whatever the interval"
        if self.activation_checkpoint_cpu_offload:
            said = "activations are computed twice instead of being moved: as little memory"
            yield ("activation_checkpoint_cpu_offload",), said
