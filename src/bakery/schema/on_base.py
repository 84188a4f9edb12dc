"""A file that was written for one base model, and is read on another that took its place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bakery.schema.bakes import Bake
from bakery.schema.files import InputSpec
from bakery.schema.model_names import BASE, EMBEDDED


def on_another_base(spec: InputSpec, bases: Collection[str]) -> InputSpec:
    """Return what a file says where the base that it names by one of `bases` is the base now.

    Who is asked for questions stays who it is: that model writes them for any base.
    """
    names = {*bases, *(EMBEDDED if set(EMBEDDED) & set(bases) else ())}
    if not names:
        return spec
    targets = tuple(
        target.model_copy(update={"model_name": BASE}) if target.model_name in names else target
        for target in spec.targets
    )
    return replace(spec, targets=targets, bake=spec.bake and _bake(spec.bake, names))


def _bake(bake: Bake, names: Collection[str]) -> Bake:
    """Return a bake that names neither as its parent nor as what it trains what was the base."""
    unsaid = {
        key: None
        for key in ("parent_model_name", "student_model_path")
        if getattr(bake.model, key) in names
    }
    return bake.model_copy(update={"model": bake.model.model_copy(update=unsaid)})
