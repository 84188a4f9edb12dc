"""Two models in, one adapter out that answers as each of them does what that one learnt.

The student begins as the sum of both. Of each side's questions its own model is the teacher,
without any prompt: what it has learnt is in it. Leaves a folder of the store as a bake does, and an
interrupted run goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters
from bakery.engine.models.given import twin
from bakery.engine.models.joined import Factors
from bakery.engine.models.models import BaseModel
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.keeping import Place, taught
from bakery.engine.text.views import Pair
from bakery.engine.training import checkpoints
from bakery.engine.training.metrics import summary
from bakery.identity import BakeRequest
from bakery.reporting import Reporter
from bakery.shaping import TrainingSettings
from bakery.stages import steps, training
from bakery.stages.bake import RECORD, RECORD_GB
from bakery.stages.mix import Mix, mix
from bakery.stages.parts import TargetData
from bakery.stages.training import CHECKPOINTS, Work

IN_PEFT = "base_model.model."


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models, and what it learnt. `folder` None: it is the base."""

    folder: Path | None
    targets: tuple[TargetData, ...]


class Taught:
    """What either teacher says of the pairs that are its own."""

    def __init__(self, parts: Sequence[tuple[Features, Collection[str]]]) -> None:
        """Each teacher's record, with the keys of its pairs; both in the same form."""
        self._of = {key: record for record, keys in parts for key in keys}
        self.form, self.is_live = parts[0][0].form, any(record.is_live for record, _ in parts)

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""
        return torch.cat([self._of[pair.key].features_of_pairs([pair]) for pair in pairs])


def run(
    request: BakeRequest,
    sides: tuple[Side, Side],
    begin: Factors,
    out: Path,
    *,
    bake_id: str,
    base: BaseModel,
    left_out: Collection[str],
    reporter: Reporter,
) -> dict[str, Any]:
    """Train, save and return what bake.json says of that.

    `sides` are ours, which the adapter is put on, and theirs. `begin` are its first weights;
    `left_out` the keys `target/stimulus` of questions that nobody is to learn.
    """
    ours, theirs = sides
    settings, loss = request.training, training.loss_of(request.training)
    data = [target for side in sides for target in side.targets]
    mixture = _own(mix(data, base.chat, settings, context=base.context), left_out)
    own = {share.share.id for share in theirs.targets}
    parts = []
    student: PeftModel | None = None
    for side in (theirs, ours):
        student = _carrying(base, side.folder, settings)
        pairs = [p for p in mixture.scored if (p.key.split("/")[0] in own) == (side is theirs)]
        place = Place(out / f"{'theirs' if side is theirs else 'ours'}.{RECORD}", RECORD_GB)
        record, _ = taught(student, Readout(student), pairs, loss, place, reporter=reporter)
        parts.append((record, [pair.key for pair in pairs]))
    assert student is not None  # the last is ours
    _put(student, begin)
    work = Work(
        request, student, Readout(student), Taught(parts), mixture, base, out, ours.folder, reporter
    )
    checkpoints.drop_damaged(out / CHECKPOINTS, reporter.note)
    step, seen, chosen = training.train(work, lambda row: None)
    digest = adapters.save_composed(student, out / str(step), bake_id=bake_id, parent=ours.folder)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    steps.forget(out)
    for path in out.glob(f"*.{RECORD}"):
        path.unlink()
    return {
        "step": step,
        "digest": digest,
        "loss": summary(seen),
        "numerics": chosen,
        "batch": work.batch,
        "training": work.request.training.as_data(),
        "notes": mixture.notes,
    }


def _own(mixture: Mix, left_out: Collection[str]) -> Mix:
    """Return a mix in which a side's model answers by itself, without what nobody is to learn."""

    def bare(pairs: Sequence[Pair]) -> list[Pair]:
        found = (Pair(pair.key, pair.student, pair.student) for pair in pairs)
        return [pair for pair in found if pair.key.rpartition("/")[0] not in left_out]

    return replace(
        mixture,
        train=bare(mixture.train),
        learnt=bare(mixture.learnt),
        held_out=bare(mixture.held_out),
        instead=tuple(bare(mixture.instead)),
    )


def _carrying(base: BaseModel, folder: Path | None, settings: TrainingSettings) -> PeftModel:
    """Return the base with one model's adapter, frozen, and a fresh one beside it."""
    own = twin(base)
    model = adapters.attach_parent(own.model, folder) if folder else own.model
    return adapters.attach_new(model, settings)


def _put(student: PeftModel, begin: Factors) -> None:
    """Give the fresh adapter its first weights; a layer that has none adds nothing."""
    state: Mapping[str, torch.Tensor] = adapters.own_state(student)
    found = {}
    for name, value in state.items():
        layer, _, factor = name.removeprefix(IN_PEFT).rpartition(".lora_")
        a_RI, b_OR = begin[layer]
        found[name] = a_RI if factor.startswith("A.") else b_OR
        assert found[name].shape == value.shape  # of the same rank, on the same layer
    adapters.put_own_state(student, found)
