"""An export of fewer ranks, and what that costs: measured, not assumed.

The whole adapter and what is left of it read what each bake of the chain was asked and answered,
and are held against each other at every token of the answers.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import json_file
from bakery.identity import BaseModelId
from bakery.json_file import DamagedError
from bakery.plain import plain
from bakery.repo.files.recipe import RecordedBake
from bakery.reporting import Reporter
from bakery.store.results import PROBES
from bakery.store.store import Store

if TYPE_CHECKING:
    import torch

    from bakery.engine.models.compressed import Compressed

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
class Compression:
    """What an adapter lost with its ranks. `lost` are shares of the norm of all that it adds."""

    rank: int
    kept: int
    lost: float
    worst_lost: float
    worst_layer: str
    bakes: tuple[OfBake, ...]
    """Oldest first; those whose questions are here."""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        found: dict[str, Any] = plain(self)
        return found

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
    asked = {bake.base_name: list(_asked(store.bake(bake.id) / PROBES)) for bake in chain}
    return _measured(base, source, place, found, asked, reporter)


_Rows = list[tuple[list[int], list[int]]]
"""Ids of a question, and of the bake's answer to it."""


def _asked(path: Path) -> Iterator[tuple[list[int], list[int]]]:
    """Yield what a bake was asked, and answered; nothing where that is not here."""
    if not path.is_file():
        return
    try:
        for one in json_file.load_object(path)["probes"]:
            yield list(one["student_prefix"]), list(one["greedy"]["baked"])
    except (DamagedError, KeyError, TypeError, ValueError):
        return


def _measured(
    base: BaseModelId,
    whole: Path,
    place: Path,
    found: Compressed,
    asked: Mapping[str, _Rows],
    reporter: Reporter,
) -> Compression:
    asked = {bake: rows for bake, rows in asked.items() if rows}
    before = _logprobs(base, whole, asked, reporter)
    after = _logprobs(base, place, asked, reporter)
    bakes = []
    for bake in asked:
        p_TV, q_TV = before[bake], after[bake]
        kl_T = (p_TV.exp() * (p_TV - q_TV)).sum(-1)
        other = int((p_TV.argmax(-1) != q_TV.argmax(-1)).sum())
        bakes.append(OfBake(bake, float(kl_T.mean()), float(kl_T.max()), len(kl_T), other))
    return Compression(
        found.rank, found.kept, found.lost, found.worst_lost, found.worst, tuple(bakes)
    )


def _logprobs(
    base: BaseModelId, adapter: Path, asked: Mapping[str, _Rows], reporter: Reporter
) -> dict[str, torch.Tensor]:
    """Return the log probabilities (T, V) at every token of the answers of each bake."""
    import torch

    from bakery.engine.models import models
    from bakery.engine.models.adapters import attach_parent

    if not asked:
        return {}
    loaded = models.load(base, dtype="float32", reporter=reporter)
    model = attach_parent(loaded.model, adapter)
    found = {}
    for bake, rows in asked.items():
        pieces = []
        for prefix, answer in rows:
            ids = torch.tensor([[*prefix, *answer]], device=loaded.device)
            with torch.no_grad():
                logits_TV = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
            pieces.append(logits_TV.float().log_softmax(-1).cpu())
        found[bake] = torch.cat(pieces)
    return found
