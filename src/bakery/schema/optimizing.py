"""`BAKE.optimizer` and `BAKE.scheduler`: how weights are stepped, and at what rate over time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bakery.schema.common import Number, Path, Section, Share

CURVES = Literal[
    "linear",
    "cosine",
    "constant",
    "constant_with_warmup",
    "cosine_with_restarts",
    "polynomial",
    "inverse_sqrt",
]

POLYNOMIAL_END = 1e-7
"""The rate that transformers lets a polynomial end at."""

OPTIMIZERS = {
    "adamw": "adamw_torch",
    "adamw_torch": "adamw_torch",
    "adamw_torch_fused": "adamw_torch_fused",
    "fusedadam": "adamw_torch_fused",
    "fused_adam": "adamw_torch_fused",
    "cpu_adam": "adamw_torch",
    "huggingface": "adamw_torch",
}
"""What input.yml may call an optimizer, and what transformers does."""


def refused(why: str) -> BeforeValidator:
    """Return what refuses a key whatever it holds, and says why."""

    def refuse(value: Any) -> Any:
        raise ValueError(why)

    return BeforeValidator(refuse)


class Optimizer(Section):
    """How the weights follow the gradient: AdamW."""

    type: Annotated[
        Literal[
            "adamw",
            "adamw_torch",
            "adamw_torch_fused",
            "fusedadam",
            "fused_adam",
            "cpu_adam",
            "huggingface",
        ],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
        Field(description="A variant of AdamW; the fused ones are quicker on a GPU."),
    ] = "adamw"
    learning_rate: Annotated[
        Number | None, Field(gt=0, description="Default: by the base, see docs/defaults.md.")
    ] = None
    weight_decay: Annotated[Number, Field(ge=0, description="Pull towards zero.")] = 0.0
    betas: Annotated[
        tuple[Share, Share], Field(description="Memory of gradient and of its square.")
    ] = (
        0.9,
        0.999,
    )

    @property
    def variant(self) -> str:
        """The name that transformers knows."""
        return OPTIMIZERS[self.type]

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        if self.type == "cpu_adam":
            yield ("type",), "cpu_adam is AdamW here: its state stays beside the weights"


class Scheduler(Section):
    """How the learning rate rises in the warm-up and falls after it."""

    type: Annotated[
        CURVES | Literal["huggingface"],
        Field(description="The curve; `huggingface` means the one that `name` says."),
    ] = "linear"
    name: Annotated[CURVES, Field(description="The curve, beside `type: huggingface`.")] = "linear"
    warmup_ratio: Annotated[
        Share | None,
        Field(description="Share of all steps that the rate rises for. Default: 0.05."),
    ] = None
    warmup_steps: Annotated[
        int | None, Field(ge=0, strict=True, description="The same as a number of steps.")
    ] = None
    lr: Annotated[
        Any,
        refused("is BAKE.optimizer.learning_rate: write the rate there"),
        Field(description="Refused: it is `optimizer.learning_rate`."),
    ] = None

    @property
    def curve(self) -> str:
        """The name that transformers knows."""
        return self.name if self.type == "huggingface" else self.type

    @model_validator(mode="after")
    def _says_one_thing(self) -> Scheduler:
        if "name" in self.model_fields_set and self.type not in ("huggingface", self.name):
            raise ValueError(f"type says {self.type}, name says {self.name}: keep one")
        if self.warmup_ratio is not None and self.warmup_steps is not None:
            raise ValueError("warmup_ratio and warmup_steps say the same thing: keep one")
        if self.curve == "constant" and (self.warmup_ratio or self.warmup_steps):
            raise ValueError("`constant` has no warm-up: `constant_with_warmup` has")
        return self
