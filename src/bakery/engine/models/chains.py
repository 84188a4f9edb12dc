"""Whether a bake fits on the model it starts from, told from its folder alone."""

from __future__ import annotations

from pathlib import Path

from bakery.engine.models.adapter_folder import slices
from bakery.errors import ConfigError, ModelError

MAX_RANK = 256
"""Of all bakes of a chain together."""


def check_rank(r: int, parent: Path | None) -> None:
    """Refuse a rank that would make the chain of bakes too large."""
    check_ranks(r, slices(parent)[-1].stop if parent else 0)


def check_ranks(r: int, before: int) -> None:
    """Refuse a rank that is too large where those before it together have `before`."""
    if before + r > MAX_RANK:
        raise ConfigError(
            f"the chain of bakes would have rank {before + r}, more than {MAX_RANK}: this one "
            f"{r}, those before it {before}",
            hint="Choose a smaller BAKE.model.baked_adapter_config.r, or start a fresh chain: from "
            "the base (`bgit adopt base`), or from this model as the base of a repository of its "
            "own (`bgit download --merged`, `bgit init --base-model FOLDER`).",
        )


def check_parent(parent: Path | None, bake_id: str | None) -> None:
    """Refuse to train on a model that is not the one a bake was planned on."""
    found = slices(parent)[-1].bake_id if parent else None
    if found != bake_id:
        raise ModelError(
            f"the model to bake on is {found or 'the base'}, but the plan says "
            f"{bake_id or 'the base'}",
            hint="Nothing was trained. `bgit status` shows where the branch stands.",
        )
