"""Whether a bake fits on the model it starts from, told from its folder alone."""

from __future__ import annotations

from pathlib import Path

from bakery.engine.models.adapter_folder import slices
from bakery.errors import ModelError


def check_parent(parent: Path | None, bake_id: str | None) -> None:
    """Refuse to train on a model that is not the one a bake was planned on."""
    found = slices(parent)[-1].bake_id if parent else None
    if found != bake_id:
        raise ModelError(
            f"the model to bake on is {found or 'the base'}, but the plan says "
            f"{bake_id or 'the base'}",
            hint="Nothing was trained. `bgit status` shows where the branch stands.",
        )
