"""The parts of `BAKE` that say where the figures of a training are shown, besides metrics.jsonl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from bakery.schema.common import Path, Section


def _no_path(name: str | None) -> str | None:
    if name is not None and (not name.strip() or name.startswith(".") or set(name) & set("/\\")):
        raise ValueError("is a name and no path: write letters, digits and - behind one another")
    return name


NoPath = Annotated[str | None, AfterValidator(_no_path)]
"""What folders or files are called after."""


class Wandb(Section):
    """A run at Weights & Biases that gets every row of metrics.jsonl."""

    enable: Annotated[
        bool, Field(description="Whether figures are sent. Needs the package `wandb`.")
    ] = False
    project: Annotated[NoPath, Field(description="Default: the repository's name.")] = None
    name: Annotated[str | None, Field(description="Of the run. Default: the bake's name.")] = None
    entity: Annotated[str | None, Field(description="User or team. Default: that of the key.")] = (
        None
    )
    tags: Annotated[tuple[str, ...], Field(description="Of the run.")] = ()

    @field_validator("tags", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        if not self.enable and self.model_fields_set - {"enable"}:
            yield (), "wandb is off: `enable: true` sends the figures"


class Trackio(Section):
    """A run in trackio, on this machine or in a Space of the hub: the figures that wandb gets."""

    enable: Annotated[
        bool, Field(description="Whether figures are sent. Needs the package `trackio`.")
    ] = False
    project: Annotated[NoPath, Field(description="Default: the repository's name.")] = None
    name: Annotated[NoPath, Field(description="Of the run. Default: the bake's name.")] = None
    space: Annotated[
        str | None, Field(description="A Space of the hub. Default: nothing leaves this machine.")
    ] = None

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what is done differently."""
        if not self.enable and self.model_fields_set - {"enable"}:
            yield (), "trackio is off: `enable: true` sends the figures"


class TensorBoard(Section):
    """Files of TensorBoard, in the folder of the bake in the store: the figures that wandb gets."""

    enable: Annotated[
        bool, Field(description="Whether they are written. Needs the package `tensorboard`.")
    ] = False
