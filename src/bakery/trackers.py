"""Where the figures of a training are shown, besides metrics.jsonl: plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wandb:
    """The run at Weights & Biases that the figures of a training go to. None: its own default."""

    project: str | None = None
    name: str | None = None
    entity: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trackio:
    """The run of trackio that the figures go to. `space` None: they stay on this machine."""

    project: str
    name: str | None = None
    space: str | None = None


@dataclass(frozen=True, slots=True)
class TensorBoard:
    """Files of TensorBoard beside the bake, in a folder of this name."""

    name: str
