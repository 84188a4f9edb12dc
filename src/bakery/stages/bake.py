"""Trajectories in, an adapter out: the student is trained to do without the prompt.

Leaves the adapter's folder (of other steps too, where asked), metrics.jsonl and bake.json;
done.json comes last. An interrupted run goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from bakery.card import LITTLE_TO_BAKE, together
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapter_folder, adapters, chains, compressed
from bakery.engine.models.half_baked import kept
from bakery.engine.models.models import BaseModel
from bakery.engine.models.versions import versions
from bakery.engine.teacher import teacher
from bakery.engine.teacher.elsewhere import Elsewhere
from bakery.engine.teacher.keeping import Place, taught
from bakery.engine.text.chat import CLOCK_STOPPED
from bakery.engine.training import shown, start
from bakery.engine.training.metrics import rows, summary
from bakery.engine.workers import ALONE, Worker
from bakery.evals import distances
from bakery.identity import BakeRequest, Running, compressed_id, digest
from bakery.reporting import Reporter
from bakery.stages import answers, covering, full_disk, measured, on_policy, steps, training, until
from bakery.stages.mix import Mix, mix
from bakery.stages.parts import TargetData
from bakery.stages.training import CHECKPOINTS, Work
from bakery.store import results
from bakery.store.results import METRICS

MUCH_BETTER = 0.9
"""A step whose divergence is under this part of the last one's is reported."""

RECORD = "teacher.safetensors"
RECORD_GB = 16.0
"""Disk space, in 10^9 bytes, that the record of the teacher may take."""


@dataclass(frozen=True, slots=True)
class Other:
    """A model that teaches another one: its base, it as it answers, and its adapter's folder."""

    base: BaseModel
    model: PreTrainedModel | PeftModel
    folder: Path | None = None


@full_disk.told("The bake goes on from its last checkpoint; its questions and answers are kept.")
def run(
    request: BakeRequest,
    data: Sequence[TargetData],
    out: Path,
    *,
    base: BaseModel,
    model: PreTrainedModel | PeftModel,
    parent: Path | None,
    reporter: Reporter,
    allowed: Sequence[str] = (),
    teacher: Other | None = None,
    worker: Worker = ALONE,
    records: Path | None = None,
) -> dict[str, Any]:
    """Train the adapter of `request` and return what bake.json says.

    `model` is the base, or the base with the parent's adapter attached; `parent` the folder of
    that adapter; `allowed` names what of the data somebody waived. `teacher` teaches in place of
    the parent.

    Of several processes, each a `worker` with a folder of its own, the first leaves what is made;
    the others return an empty result. In `records` those of a machine share the teacher's record.
    """
    started, clock, earlier = _now(), time.monotonic(), rows(out / METRICS)
    trackers = request.running if worker.rank == 0 else Running()
    with shown.shown(trackers, out) as figures:
        work, why = _ready(
            request, data, out, base=base, model=model, parent=parent, teacher=teacher,
            reporter=reporter, worker=worker, records=records or out,
        )  # fmt: skip
        result = _baked(work, why, figures)
        if worker.rank:
            return {}
        result |= {
            **_marked(work.mixture, allowed),
            "seconds": _seconds(work.mixture, time.monotonic() - clock + _kept_s(out, earlier)),
            "started": started,
            "finished": _now(),
        }
        _leave(out, result)
        figures.card(result["card"])
    return result


def _baked(work: Work, why: str | None, figures: shown.Shown) -> dict[str, Any]:
    """Train, measure and save; return what bake.json says of that.

    `why` tells how the teacher is kept, where that is worth saying; `figures` shows how it goes.
    """
    does_all = work.worker.does_all
    before = _before(work, why) if does_all else None
    step, trained = _train(work, figures)
    return _after(work, before, step, trained) if before else {}


@dataclass(frozen=True, slots=True)
class _Before:
    """How the parent stands, what of the prompts is asked, and what was said of both."""

    measured: measured.Measured
    looked: list[covering.Looked]
    notes: list[str]


def _before(work: Work, why: str | None) -> _Before:
    with adapters.parent_only(work.student):
        before = measured.standing(work, "measuring before", work.mixture.measured)
    looked, unasked = covering.before(work)
    notes = [*([why] if why else []), *_notes(work, before), *unasked]
    _tell(notes, work.reporter)
    return _Before(before, looked, notes)


def _after(work: Work, begun: _Before, step: int, trained: Mapping[str, Any]) -> dict[str, Any]:
    """Measure and save what was trained; return what bake.json says of all of it."""
    mixture, student, request = work.mixture, work.student, work.request
    out, parent, before = work.out, work.parent, begun.measured
    after = measured.standing(work, "measuring after", mixture.measured)
    again = measured.standing(work, "measuring what was learnt", measured.trained_on(mixture))
    saved = out / str(step)
    adapter_digest = adapters.save_composed(student, saved, bake_id=request.id, parent=parent)
    card = covering.on_card(answers.judged(work, before, after), covering.after(work, begun.looked))
    on_the_way = _measured_on_the_way(out / METRICS)
    late = [*_better_before(on_the_way, after), *measured.notes(after | again, mixture)]
    _tell(late, work.reporter)
    return {
        **_described(work),
        "step": step,
        "digest": adapter_digest,
        **_kept(request, out, step, on_the_way),
        "targets": mixture.targets,
        **trained,
        "card": card.as_data(),
        "notes": [*mixture.notes, *begun.notes, *start.notes(out), *late],
    }


def _ready(
    request: BakeRequest,
    data: Sequence[TargetData],
    out: Path,
    *,
    base: BaseModel,
    model: PreTrainedModel | PeftModel,
    parent: Path | None,
    teacher: Other | None,
    reporter: Reporter,
    worker: Worker,
    records: Path,
) -> tuple[Work, str | None]:
    """Return a student before its first step, and what is to say of how its teacher is kept."""
    chains.check_parent(parent, _below(request))
    results.begin(out, request)
    far = partial(distances.moved, teacher.model if teacher else model)
    mixed = partial(mix, data, base.chat, request.training, context=base.context, far=far)
    mixture = worker.same(mixed)
    student = adapters.attach_new(model, request.training)
    readout = Readout(student)
    other = Elsewhere.of(teacher.base, teacher.model, readout) if teacher else None
    _tell(mixture.notes, reporter)
    speaks = (base, parent) if teacher is None else (teacher.base, teacher.folder)
    weights = digest([speaks[0].id.digest, adapter_folder.digest(speaks[1]) if speaks[1] else ""])
    loss = training.loss_of(request.training)
    first = request.training.first_weights
    begins = student, readout, mixture.train, first, out
    training.begin(*begins, worker=worker, reporter=reporter)
    of = digest([weights, readout.keeps_moments(loss)])
    place, recording = _place(out, records, of, worker)
    by: tuple[nn.Module, Readout] = (student, readout)
    if other is not None:
        by = other.model, other.readout
    record, why = taught(*by, mixture.scored, loss, place, worker=recording, reporter=reporter)
    given = request, student, readout, record, mixture, base, out, parent, reporter, other, worker
    return Work(*given), why


def _place(out: Path, records: Path, of: str, worker: Worker) -> tuple[Place, Worker]:
    """Return where the teacher's record lies, and who makes it: the processes of each machine."""
    if worker.count == 1:
        return Place(out / RECORD, RECORD_GB, of), worker
    own = replace(worker, rank=worker.local_rank, count=worker.local_count)
    place = records / CHECKPOINTS / "teacher" / RECORD
    place.parent.mkdir(parents=True, exist_ok=True)
    return Place(place, RECORD_GB, of), own


def _below(request: BakeRequest) -> str | None:
    """Return whose ranks are the last of what is trained on."""
    if request.parent is None or request.compressed is None:
        return request.parent.bake_id if request.parent else None
    return compressed_id(request.parent, request.compressed)


def _leave(out: Path, result: dict[str, Any]) -> None:
    """Write the result down, done.json last, and drop what only a run that goes on needs."""
    results.end_bake(out, result)
    for name in (CHECKPOINTS, compressed.PARENT):
        shutil.rmtree(out / name, ignore_errors=True)
    steps.forget(out)
    teacher.forget(out / RECORD)


def _tell(notes: Sequence[str], reporter: Reporter) -> None:
    for note in notes:
        reporter.note(note)


def _train(work: Work, figures: shown.Shown) -> tuple[int, dict[str, Any]]:
    """Train through all phases; return the last step, and what the result says of them."""
    own = work.settings.on_policy
    figures.begin(work.settings.as_data())
    step, seen, chosen = training.train(work, figures.row)
    learnt_with = {name: getattr(work.settings, name) for name in ("learning_rate", "epochs")}
    said = {"batch": work.batch, **learnt_with, "loss": summary(seen)}
    said["numerics"] = chosen
    if own is not None:
        said |= on_policy.train(work, own, figures.row)
        step += own.steps
    if work.settings.until is not None:
        step, rounds = until.train(work, work.settings.until, figures.row)
        said |= rounds
    return step, said


def _notes(work: Work, before: measured.Measured) -> list[str]:
    """Return what a person should know before the training."""
    notes = [CLOCK_STOPPED] if work.base.chat.reads_clock else []
    if work.settings.learning_rate != work.request.training.learning_rate:
        notes.append(f"it learns at the rate of a random start: {work.settings.learning_rate:g}")
    if not work.readout.exact:
        notes.append(
            "the head is trained, or the architecture does more than multiply by it: "
            "the teacher's logits are kept instead of its hidden states"
        )
    whole = together(list(before.values()))
    if whole is not None and whole.kl < LITTLE_TO_BAKE:
        notes.append(
            f"held out, the prompt moves the parent by {whole.kl:.2g} nats a token: little to bake"
        )
    return notes


def _measured_on_the_way(metrics: Path) -> dict[int, float]:
    """Return the divergence after each step at which it was measured."""
    return {row["step"]: row["eval_kl"] for row in rows(metrics) if "eval_kl" in row}


def _better_before(on_the_way: Mapping[int, float], after: measured.Measured) -> list[str]:
    """Return a note where a step before the last was much nearer to the teacher."""
    last = together(list(after.values()))
    if last is None or not on_the_way:
        return []
    kl, step = min((kl, step) for step, kl in on_the_way.items())
    if kl > MUCH_BETTER * last.kl:
        return []
    return [
        f"step {step} was nearer to the teacher, at {kl:.3g} nats per token, than the last, at "
        f"{last.kl:.3g}: BAKE.checkpoint.save_every_n_steps keeps steps like it"
    ]


def _described(work: Work) -> dict[str, Any]:
    """Return what bake.json says of the request itself, and of what it was made with."""
    request, parent, less = work.request, None, compressed.told(work.parent)
    if request.parent is not None and work.parent is not None:
        digest_of = less["of"]["digest"] if less else adapter_folder.digest(work.parent)
        parent = {"model": str(request.parent), "digest": digest_of}
    return {
        "schema": 1,
        "defaults": request.defaults,
        "bake_id": request.id,
        "base": asdict(request.base),
        "parent": parent,
        **({"compressed": less["figures"]} if less else {}),
        **_elsewhere(work),
        "training": request.training.as_data(),
        "versions": versions(work.base.unpacked),
    }


def _elsewhere(work: Work) -> dict[str, Any]:
    """Return what bake.json says of a teacher that is another model, where one is."""
    asked = work.request.teacher
    if asked is None:
        return {}
    return {"teacher": {"base": asdict(asked.base), "model": str(asked.model or "") or None}}


def _marked(mixture: Mix, allowed: Sequence[str]) -> dict[str, Any]:
    """Return what somebody waived, and what made answers up in place of a model, where it did."""
    made_up = [target["backend"] for target in mixture.targets if "backend" in target]
    found = {"allowed": list(allowed)} if allowed else {}
    return {**found, "backend": made_up[0]} if made_up else found


def _kept(
    request: BakeRequest, out: Path, last: int, on_the_way: Mapping[int, float]
) -> dict[str, Any]:
    """Return the models that were kept beside the last, where any were asked for."""
    settings = request.training
    if not settings.save_every_steps and not settings.save_every_epochs:
        return {}
    return {"checkpoints": kept(out, last=last, measured=on_the_way)}


def _seconds(mixture: Mix, bake: float) -> dict[str, float]:
    stages = {
        name: sum(t["seconds"][name] for t in mixture.targets) for name in ("stim", "rollout")
    }
    return {**stages, "bake": round(bake, 2)}


def _kept_s(out: Path, earlier: Sequence[Mapping[str, Any]]) -> float:
    """Return the seconds of the steps of earlier runs that were not made again: the first ones."""
    both = zip(earlier, rows(out / METRICS), strict=False)
    took = [before.get("seconds") for before, now in takewhile(lambda rows: eq(*rows), both)]
    return sum(seconds for seconds in took if isinstance(seconds, int | float))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
