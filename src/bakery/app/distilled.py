"""What is learnt from two models at once, where adding up their weights loses too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app.panel import Panel
from bakery.defaults import defaults_for
from bakery.errors import StageError
from bakery.identity import BakeRequest, BaseModelId
from bakery.records import Prompt
from bakery.repo.files.recipe import RecordedBake
from bakery.reporting import Reporter
from bakery.shaping import TrainingSettings
from bakery.shares import TargetShare
from bakery.store import results
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.engine.models.joined import Factors
    from bakery.stages.parts import TargetData


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is trained, and how: the targets of ours, then those of theirs."""

    training: TrainingSettings
    ours: tuple[TargetShare, ...]
    theirs: tuple[TargetShare, ...]
    left_out: tuple[str, ...] = ()
    """Questions that nobody is to learn, by `target/stimulus`."""

    @property
    def shares(self) -> tuple[TargetShare, ...]:
        """All of them."""
        return (*self.ours, *self.theirs)


def planned(
    store: Store,
    base: BaseModelId,
    version: int,
    rank: int,
    layers: Sequence[str],
    sides: tuple[Sequence[RecordedBake], Sequence[RecordedBake]],
) -> Learnt:
    """Return what is to be learnt of bakes of either side; StageError where answers are missing.

    Each answer of a target counts alike, so a target weighs as many as it has.
    """
    from bakery import schema
    from bakery.repo.plan.bake import training_settings

    usual = training_settings(schema.Bake(), defaults_for(base, version))
    training = replace(
        usual, r=rank, lora_alpha=rank, target_modules=tuple(layers), first_weights=None
    )
    ours, theirs = (tuple(_shares(store, bakes)) for bakes in sides)
    known = {share.id for share in ours}
    return Learnt(training, ours, tuple(share for share in theirs if share.id not in known))


def check(store: Store, bakes: Sequence[RecordedBake]) -> None:
    """Refuse bakes whose questions or answers are not here; StageError."""
    _shares(store, bakes)


def _shares(store: Store, bakes: Sequence[RecordedBake]) -> list[TargetShare]:
    found: dict[str, TargetShare] = {}
    for bake in bakes:
        for target in bake.data["targets"]:
            if target.get("role") or target["teacher"] == target["student"]:
                continue
            done = results.done(store.target(target["id"]))
            if done is None or not results.is_done(store.stim(target["stim_id"])):
                raise StageError(
                    f"the questions or answers of {target['name']} are not here, so nothing can "
                    "be learnt from them",
                    hint="`bgit import DIR --all` takes them from another clone; `--weights=cat` "
                    "needs none.",
                )
            found[target["id"]] = TargetShare(
                target["name"],
                target["id"],
                float(done["count"]),
                Prompt.from_data(target["teacher"]),
                Prompt.from_data(target["student"]),
                variables=target.get("variables", {}),
            )
    return list(found.values())


def distil(
    folder: Path,
    store: Store,
    bake_id: str,
    learnt: Learnt,
    begin: Factors,
    panel: Panel,
    *,
    onto: Path | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train in the folder of a bake, on what lies in `onto`; return what bake.json says of that."""
    from bakery.stages import distilling

    base = panel.base_model()
    request = BakeRequest(
        learnt.shares,
        learnt.training,
        base.id,
        None,
        defaults_for(base.id).micro_batch_size,
    )
    sides = (
        distilling.Side(onto, tuple(_data(store, learnt.ours))),
        distilling.Side(panel.theirs, tuple(_data(store, learnt.theirs))),
    )
    return distilling.run(
        request, sides, begin, folder,
        bake_id=bake_id, base=base, left_out=learnt.left_out, reporter=reporter,
    )  # fmt: skip


def _data(store: Store, shares: Sequence[TargetShare]) -> list[TargetData]:
    from bakery.stages.parts import TargetData

    stims = [str(results.whole(store.target(s.id) / results.DONE)["stim_id"]) for s in shares]
    return [
        TargetData(share, store.stim(stim), store.target(share.id))
        for share, stim in zip(shares, stims, strict=True)
    ]
