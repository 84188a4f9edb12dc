"""Trajectories in, an adapter out: the student is trained to do without the prompt.

Leaves the adapter's folder (of other steps too, where asked), metrics.jsonl and bake.json;
done.json comes last. An interrupted run goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
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
from bakery.evals import distances
from bakery.identity import BakeRequest, compressed_id, digest
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
) -> dict[str, Any]:
    """Train the adapter of `request` and return what bake.json says.

    `model` is the base, or the base with the parent's adapter attached; `parent` the folder of
    that adapter; `allowed` names what of the data somebody waived. `teacher` teaches in place of
    the parent.
    """
    started, clock = _now(), time.monotonic()
    with shown.shown(request.running, out) as figures:
        work, why = _ready(
            request, data, out, base=base, model=model, parent=parent, teacher=teacher,
            reporter=reporter,
        )  # fmt: skip
        result = _baked(work, why, figures)
        result |= {
            **_marked(work.mixture, allowed),
            "seconds": _seconds(work.mixture, time.monotonic() - clock),
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
    mixture, student, request = work.mixture, work.student, work.request
    out, parent = work.out, work.parent
    with adapters.parent_only(student):
        before = measured.standing(work, "measuring before", mixture.measured)
    looked, unasked = covering.before(work)
    early = [*([why] if why else []), *_notes(work, before), *unasked]
    _tell(early, work.reporter)
    step, trained = _train(work, figures)
    after = measured.standing(work, "measuring after", mixture.measured)
    again = measured.standing(work, "measuring what was learnt", measured.trained_on(mixture))
    saved = out / str(step)
    adapter_digest = adapters.save_composed(student, saved, bake_id=request.id, parent=parent)
    card = covering.on_card(answers.judged(work, before, after), covering.after(work, looked))
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
        "notes": [*mixture.notes, *early, *start.notes(out), *late],
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
) -> tuple[Work, str | None]:
    """Return a student before its first step, and what is to say of how its teacher is kept."""
    chains.check_parent(parent, _below(request))
    results.begin(out, request)
    far = partial(distances.moved, teacher.model if teacher else model)
    mixture = mix(data, base.chat, request.training, context=base.context, far=far)
    student = adapters.attach_new(model, request.training)
    readout = Readout(student)
    other = Elsewhere.of(teacher.base, teacher.model, readout) if teacher else None
    _tell(mixture.notes, reporter)
    speaks = (base, parent) if teacher is None else (teacher.base, teacher.folder)
    weights = digest([speaks[0].id.digest, adapter_folder.digest(speaks[1]) if speaks[1] else ""])
    loss = training.loss_of(request.training)
    training.begin(student, readout, mixture.train, request.training.first_weights, out, reporter)
    of = digest([weights, readout.keeps_moments(loss)])
    place = Place(out / RECORD, RECORD_GB, of)
    by: tuple[nn.Module, Readout] = (student, readout)
    if other is not None:
        by = other.model, other.readout
    record, why = taught(*by, mixture.scored, loss, place, reporter=reporter)
    return Work(request, student, readout, record, mixture, base, out, parent, reporter, other), why


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
