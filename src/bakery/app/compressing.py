"""An adapter of fewer ranks, to go out or to be baked on, and what that costs: measured.

The whole adapter and what is left of it read what each bake of the chain was asked and answered,
and are held against each other at every token of the answers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import json_file
from bakery.app import probed
from bakery.app.probed import Asked
from bakery.errors import ModelError
from bakery.identity import COMPRESSION, BaseModelId, compressed_id
from bakery.plain import Plain
from bakery.records import ModelRef, write_atomic
from bakery.reporting import Reporter
from bakery.store import drafts
from bakery.store.results import PROBES

if TYPE_CHECKING:
    import torch

    from bakery.engine.models.models import BaseModel

Load = Callable[[], "BaseModel"]

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

    def as_recorded(self) -> dict[str, Any]:
        """Return what a recipe says of a parent that a bake was put on so."""
        return {"method": COMPRESSION, **asdict(self), "bakes": [asdict(one) for one in self.bakes]}

    def sentence(self) -> str:
        """Say it in a line."""
        told = ", ".join(f"{one.bake} {one.kl:.2g}" for one in self.bakes)
        cost = f"; KL to the whole adapter, in nats a token: {told}" if told else ""
        return (
            f"{self.kept} of {self.rank} ranks are kept: {100 * self.lost:.2g} % of what the "
            f"adapter adds is lost, {100 * self.worst_lost:.2g} % in the worst layer{cost}"
        )


def fresh(base: BaseModelId, reporter: Reporter) -> Load:
    """Return what loads a base that nobody has in memory."""

    def load() -> BaseModel:
        from bakery.engine.models import models

        return models.load(base, dtype="float32", reporter=reporter)

    return load


def parent(
    out: Path,
    base: BaseModelId,
    model: ModelRef,
    source: Path,
    asked: Sequence[tuple[str, Path]],
    *,
    rank: int,
    load: Load,
    reporter: Reporter,
) -> Path:
    """Return the folder, in that of a bake, of what is left of its parent for it to be put on.

    It is made where it is not there. Beside it lies what recipes say of it. `load` gives the base,
    bare, on which the loss is measured.
    """
    from bakery.engine.models import adapter_folder, compressed

    place = out / compressed.PARENT
    of = {"model": str(model), "digest": adapter_folder.digest(source)}
    with suppress(ModelError, OSError, ValueError, LookupError):
        told = json_file.load_object(place / compressed.TOLD)
        if told["of"] == of and told["digest"] == adapter_folder.digest(place):
            return place
    shutil.rmtree(place, ignore_errors=True)
    with drafts.draft(out, compressed.PARENT) as draft:
        found = compress(base, asked, source, draft, rank=rank, load=load, reporter=reporter)
        made = draft / PLACE
        parts = [adapter_folder.Slice(compressed_id(model, found.kept), 0, found.kept)]
        adapter_folder.write_slices(made, parts)
        told = {"of": of, "digest": adapter_folder.digest(made), "figures": found.as_recorded()}
        write_atomic(made / compressed.TOLD, json.dumps(told, indent=2) + "\n")
        made.rename(place)
    reporter.note(found.sentence())
    return place


def compress(
    base: BaseModelId,
    asked: Sequence[tuple[str, Path]],
    source: Path,
    folder: Path,
    *,
    rank: int,
    load: Load,
    reporter: Reporter,
) -> Compression:
    """Write an adapter of at most so many ranks into a folder, at `PLACE`, and measure it.

    `asked` are its bakes, oldest first, with the folders that have their questions.
    """
    from bakery.engine.models import compressed

    reporter.note(f"finding the nearest adapter of rank {rank}")
    place = folder / PLACE
    place.parent.mkdir()
    found = compressed.compress(source, place, rank=rank, base=base.name, revision=base.revision)
    if (source.parent / PROBES).is_file():  # for whoever verifies what is made of it
        shutil.copyfile(source.parent / PROBES, place.parent / PROBES)
    probes = [(bake, _asked(bake, at, reporter)) for bake, at in asked]
    bakes = _measured(load, (source, place), probes, reporter)
    return Compression(found.rank, found.kept, found.lost, found.worst_lost, found.worst, bakes)


def _asked(bake: str, folder: Path, reporter: Reporter) -> list[Asked]:
    """Return what a bake was asked; nothing where that is not here, which is said."""
    path = folder / PROBES
    try:
        if path.is_file():
            return [one for one in probed.read(path) if one.greedy["baked"]]
        why = f"{bake} has no {PROBES} here"
    except ModelError as error:
        why = f"{bake}: {error.message}"
    reporter.note(f"{why}: what it loses is not measured")
    return []


def _measured(
    load: Load,
    adapters: Sequence[Path],
    asked: Sequence[tuple[str, Sequence[Asked]]],
    reporter: Reporter,
) -> tuple[OfBake, ...]:
    """Hold the whole adapter and the smaller one, on one base, against each other."""
    from bakery.engine.models.adapters import attach_parent
    from bakery.engine.models.given import twin

    if not any(probes for _, probes in asked):
        return ()
    loaded = load()
    whole, smaller = (attach_parent(twin(loaded).model, folder) for folder in adapters)
    found = []
    for done, (bake, probes) in enumerate(asked):
        reporter.progress("measuring what is lost", done, len(asked))
        if probes:
            found.append(_lost(bake, probes, whole, smaller))
    reporter.progress("measuring what is lost", len(asked), len(asked))
    return tuple(found)


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
