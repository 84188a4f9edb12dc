"""`BAKE`: one training run over a weighted mix of targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from bakery.schema.common import Count, Name, Section, Seed, Share


class Dataset(Section):
    """A share of the mix: a target of this file, or an earlier one by its full name."""

    target: str
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class AdapterConfig(Section):
    """LoRA. None: the base model's default; `lora_alpha` defaults to twice the rank."""

    r: Annotated[int, Field(ge=1, le=256, strict=True)] | None = None
    lora_alpha: Annotated[float, Field(gt=0)] | None = None
    lora_dropout: Share = 0.0
    bias: Literal["none"] = "none"
    target_modules: str | tuple[str, ...] = "all-linear"


class BakeModel(Section):
    """`BAKE.model`: what is trained on top of the parent. The parent is never set by hand."""

    type: Literal["bake"] = "bake"
    baked_adapter_config: AdapterConfig = AdapterConfig()


class Optimizer(Section):
    """AdamW. None: the base model's default."""

    learning_rate: Annotated[float, Field(gt=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)


class Scheduler(Section):
    """How the learning rate falls after the warm-up; `huggingface` means linear."""

    type: Literal["linear", "cosine", "constant", "huggingface"] = "linear"


class OnPolicy(Section):
    """A second phase on the student's own answers. None: the bake's learning rate."""

    steps: Count = 40
    loss: Literal["reverse_kl", "jsd"] = "reverse_kl"
    learning_rate: Annotated[float, Field(gt=0)] | None = None


class Bake(Section):
    """One training run over a weighted mix of targets. None: the base model's default."""

    name: Name = "bake"
    datasets: tuple[Dataset, ...] = ()
    epochs: Count | None = None
    micro_batch_size: Count | None = None
    gradient_accumulation_steps: Count = 1
    total_trajectories: Count | None = None
    seed: Seed = 42
    model: BakeModel = BakeModel()
    optimizer: Optimizer = Optimizer()
    scheduler: Scheduler = Scheduler()
    on_policy: OnPolicy | None = None

    @field_validator("datasets", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("on_policy", mode="before")
    @classmethod
    def _switch_or_settings(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {} if value else None
        return value
