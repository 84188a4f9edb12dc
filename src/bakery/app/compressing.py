"""An export of fewer ranks, and what that costs: measured, not assumed.

The whole adapter and what is left of it read what each bake of the chain was asked and answered,
and are held against each other at every token of the answers.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import probed
from bakery.app.probed import Asked
from bakery.errors import ModelError
from bakery.identity import BaseModelId
from bakery.plain import Plain
from bakery.repo.files.recipe import RecordedBake
from bakery.reporting import Reporter
from bakery.store.results import PROBES
from bakery.store.store import Store

if TYPE_CHECKING:
    import torch

PLACE = Path("compressed/adapter")
"""Where the smaller adapter is made in a folder that is gone afterwards."""


@dataclass(frozen=True, slots=True)
class OfBake:
    """What a bake of the chain has lost. `kl` is KL(whole ‖ compressed) in nats a token."""

    bake: str
    kl: float
    worst: float
    """At one token."""
    places: int
    """Tokens of answers that were compared."""
    other: int
    """Those at which another token is the likeliest now."""


@dataclass(frozen=True, slots=True)
class Compression(Plain):
    """What an adapter lost with its ranks. `lost` are shares of the norm of all that it adds."""

    rank: int
    kept: int
    lost: float
    worst_lost: float
    worst_layer: str
    bakes: tuple[OfBake, ...]
    """Oldest first; those whose questions are here."""

    def sentence(self) -> str:
        """Say it in a line."""
        told = ", ".join(f"{one.bake} {one.kl:.2g}" for one in self.bakes)
        cost = f"; KL to the whole adapter, in nats a token: {told}" if told else ""
        return (
            f"{self.kept} of {self.rank} ranks are kept: {100 * self.lost:.2g} % of what the "
            f"adapter adds is lost, {100 * self.worst_lost:.2g} % in the worst layer{cost}"
        )


def compress(
    store: Store,
    base: BaseModelId,
    chain: Sequence[RecordedBake],
    source: Path,
    folder: Path,
    *,
    rank: int,
    reporter: Reporter,
) -> Compression:
    """Write an adapter of at most so many ranks into a folder, at `PLACE`, and measure it.

    `chain` are the bakes of the adapter, oldest first.
    """
    from bakery.engine.models import compressed

    reporter.note(f"finding the nearest adapter of rank {rank}")
    place = folder / PLACE
    place.parent.mkdir()
    found = compressed.compress(source, place, rank=rank, base=base.name, revision=base.revision)
    if (source.parent / PROBES).is_file():  # for whoever verifies what is made of it
        shutil.copyfile(source.parent / PROBES, place.parent / PROBES)
    asked = [(bake.base_name, _asked(store, bake, reporter)) for bake in chain]
    bakes = _measured(base, (source, place), asked, reporter)
    return Compression(found.rank, found.kept, found.lost, found.worst_lost, found.worst, bakes)


def _asked(store: Store, bake: RecordedBake, reporter: Reporter) -> list[Asked]:
    """Return what a bake was asked; nothing where that is not here, which is said."""
    path = store.bake(bake.id) / PROBES
    try:
        if path.is_file():
            return [one for one in probed.read(path) if one.greedy["baked"]]
        why = f"{bake.name} has no {PROBES} here"
    except ModelError as error:
        why = error.message
    reporter.note(f"{why}: what it loses is not measured")
    return []


def _measured(
    base: BaseModelId,
    adapters: Sequence[Path],
    asked: Sequence[tuple[str, Sequence[Asked]]],
    reporter: Reporter,
) -> tuple[OfBake, ...]:
    """Hold the whole adapter and the smaller one, on one base, against each other."""
    from bakery.engine.models import models
    from bakery.engine.models.adapters import attach_parent
    from bakery.engine.models.given import twin

    if not any(probes for _, probes in asked):
        return ()
    loaded = models.load(base, dtype="float32", reporter=reporter)
    whole, smaller = (attach_parent(twin(loaded).model, folder) for folder in adapters)
    return tuple(_lost(bake, probes, whole, smaller) for bake, probes in asked if probes)


def _lost(bake: str, probes: Sequence[Asked], whole: Any, smaller: Any) -> OfBake:
    kl: list[float] = []
    other = 0
    for one in probes:
        p_TV, q_TV = (_logprobs(model, one) for model in (whole, smaller))
        kl += (p_TV.exp() * (p_TV - q_TV)).sum(-1).tolist()
        other += int((p_TV.argmax(-1) != q_TV.argmax(-1)).sum())
    return OfBake(bake, sum(kl) / len(kl), max(kl), len(kl), other)


def _logprobs(model: Any, one: Asked) -> torch.Tensor:
    """Return the log probabilities (T, V) at every token of a bake's answer."""
    import torch

    answer = one.greedy["baked"]
    ids = torch.tensor([[*one.prefix, *answer]], device=model.device)
    with torch.inference_mode():
        logits_TV = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
    return torch.as_tensor(logits_TV).float().log_softmax(-1)
