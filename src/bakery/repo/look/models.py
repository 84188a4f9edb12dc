"""The models of a branch or of all: the base, and what was baked on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.files.hosted import FormerBake
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.state import State
from bakery.repo.look.progress import has_weights
from bakery.repo.model_repo import ModelRepo


@dataclass(frozen=True, slots=True)
class Model:
    """A bake at one of the steps that it kept."""

    bake: RecordedBake
    model: ModelRef
    has_weights: bool
    is_current: bool

    @property
    def kl(self) -> float | None:
        """What the card says, or of a step kept on the way what was measured there."""
        kept, card = self.bake.on_the_way(self.model.step), self.bake.card
        found = kept.get("kl") if kept else getattr(card, "kl_after", None)
        return None if found is None else float(found)

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        bake = self.bake
        return {
            "name": bake.name,
            "id": bake.id,
            "model": str(self.model),
            "models": plain(bake.models),
            "is_base": False,
            "is_current": self.is_current,
            "has_weights": self.has_weights,
            "parent": plain(bake.parent),
            "digest": bake.digest_of(self.model.step),
            "kl": self.kl,
            **{key: plain(bake.part(key)) for key in ("card", "loss", "seconds", "finished")},
        }


@dataclass(frozen=True, slots=True)
class Models:
    """The base and its bakes, oldest first."""

    state: State
    former: tuple[FormerBake, ...]
    """What another tool had baked."""
    models: tuple[Model, ...]
    left_out: int
    """How many older ones there are."""

    def as_data(self) -> list[dict[str, Any]]:
        """Return what `bgit models --json` prints."""
        return [
            _of_base(self.state),
            *map(_of_former, self.former),
            *(model.as_data() for model in self.models),
        ]


def models(repo: ModelRepo, *, everywhere: bool = False, limit: int | None = None) -> Models:
    """Return the models of this branch, or of every branch and tag; of those the last ones."""
    state, former = repo.state(), repo.former()
    bakes = list(repo.lineage().bakes.values()) if everywhere else repo.bakes()
    every = [(bake, model) for bake in bakes for model in reversed(bake.models)]
    shown = every[-limit:] if limit else every
    return Models(
        state,
        tuple(former.bakes) if former and not limit else (),
        tuple(
            Model(bake, model, has_weights(repo.store, model), is_current=model == state.parent)
            for bake, model in shown
        ),
        len(every) - len(shown),
    )


def _of_base(state: State) -> dict[str, Any]:
    return {
        "name": state.base.name,
        "model": state.base.name,
        "is_base": True,
        "is_current": state.parent is None,
        "revision": state.base.revision,
        "digest": state.base.digest,
    }


def _of_former(bake: FormerBake) -> dict[str, Any]:
    return {
        "name": bake.name,
        "model": bake.models[0] if bake.models else None,
        "models": list(bake.models),
        "parent": bake.parent,
        "is_base": False,
        "has_weights": False,
    }
