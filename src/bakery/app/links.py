"""What a model was made of: the bakes of its chain, and the slices that these are the sum of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo.files.names import RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Lineage

EXACT = "cat"
"""The way that adds up slices as they are, so that they can be told apart again."""


@dataclass(frozen=True, slots=True)
class Link:
    """A bake at the step that the next one was made on."""

    bake: RecordedBake
    model: ModelRef

    @property
    def key(self) -> str:
        """What tells its slice from any other."""
        return f"{self.model.bake_id}/{self.model.step}"


def of(lineage: Lineage, model: ModelRef | None) -> tuple[Link, ...]:
    """Return what a model was made of, oldest first; nothing of the base itself.

    RepoError where that is not known here.
    """
    chain = lineage.chain(model)
    if chain is None:
        raise RepoError(
            f"what {model} was baked on is in no branch's recipe.yml here",
            hint="`git fetch --all --tags` may bring the branch that has it; `bgit tree` names it.",
        )
    if model is None:
        return ()
    models = [*(bake.parent for bake in chain[1:]), model]
    return tuple(Link(bake, at) for bake, at in zip(chain, models, strict=True) if at is not None)


def how(bake: RecordedBake) -> str | None:
    """Return the way in which a bake was put together; None: it was trained on a prompt."""
    told = bake.part("joined")
    return str(told["how"]) if told else None


def atoms(
    lineage: Lineage, chain: Sequence[Link], above: frozenset[str] = frozenset()
) -> tuple[Link, ...]:
    """Return the slices that a chain is the sum of: those that were added up as they are, apart.

    One of which a part is in no recipe any more stays whole. `above` are the ids of the bakes that
    hold the chain.
    """
    found: list[Link] = []
    for link in chain:
        parts = [(lineage.bakes.get(model.bake_id), model) for model in link.bake.joined_from]
        known = [Link(bake, model) for bake, model in parts if bake is not None]
        if how(link.bake) != EXACT or len(known) < len(parts):
            found.append(link)
            continue
        if link.bake.id in above:
            raise RepoError(
                f"{RECIPE} is damaged: it has {link.bake.name} hold its own slice",
                hint=f"`git log -p -- {RECIPE}` shows who changed its `joined`; `git restore "
                f"--source COMMIT -- {RECIPE}` brings back what was there before.",
            )
        found += atoms(lineage, known, above | {link.bake.id})
    return tuple(found)


def within(lineage: Lineage, chain: Sequence[Link]) -> set[str]:
    """Return the keys of all that is in a chain, also of what went into it by training."""
    found: set[str] = set()
    waiting = [(link.bake, link.model) for link in chain]
    while waiting:
        bake, at = waiting.pop()
        if (key := f"{at.bake_id}/{at.step}") in found:
            continue
        found.add(key)
        for model in bake.joined_from:
            if (part := lineage.bakes.get(model.bake_id)) is not None:
                waiting.append((part, model))
            else:
                found.add(f"{model.bake_id}/{model.step}")
    return found
