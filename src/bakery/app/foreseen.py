"""What is known of a bake before anything is made: how many questions, and in how many epochs."""

from __future__ import annotations

from collections.abc import Iterator

from bakery.defaults import defaults_for
from bakery.errors import ConfigError
from bakery.repo.files.names import INPUT
from bakery.repo.look.check import forecast
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan


def counted(plan: Plan) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield about how many questions each generator writes that takes the prompt apart."""
    from bakery.generators import facts

    for target in plan.targets:
        for at, generator in enumerate(target.stim.generators):
            if generator["type"] == "facts":
                yield (target.name, at), facts.count(target.stim.teacher, generator)


def check_epochs(repo: ModelRepo, plan: Plan) -> None:
    """Refuse a `max_epochs` below what `epochs: auto` begins with, as far as that is known.

    Where nobody set it, few answers may begin with more than its default.
    """
    until = plan.bake.training.until if plan.bake is not None else None
    if plan.bake is None or until is None:
        return
    if until.max_epochs == defaults_for(plan.head.base, plan.bake.defaults).most_epochs:
        return
    found = forecast(repo, plan, counts=dict(counted(plan))).bake
    if found is None or found.epochs <= until.max_epochs or found.state.state == "complete":
        return
    most = until.max_epochs
    raise ConfigError(
        f"{INPUT}: BAKE.max_epochs is {most}, but the training that `epochs: auto` begins with "
        f"takes about {found.epochs} epochs",
        hint=f"Set it to {found.epochs} at least, or write `epochs: {most}`, which trains "
        "so many and no round.",
    )
