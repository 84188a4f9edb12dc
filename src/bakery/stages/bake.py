"""Trajectories in, an adapter out: the student is trained to do without the prompt.

Leaves the adapter's folder, metrics.jsonl and bake.json; done.json comes last. An interrupted
run goes on from its last checkpoint. Where asked, a second phase goes on from the student's own
answers; the end of the first is kept, so that it is never trained twice.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from peft import PeftModel
from safetensors.torch import save_file
from transformers import PreTrainedModel, PrinterCallback, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from bakery.engine import adapter_folder, adapters, checkpoints, numerics, teacher
from bakery.engine.examples import Examples, Features
from bakery.engine.fidelity import Fidelity, fidelity
from bakery.engine.losses import make_loss
from bakery.engine.metrics import Metrics, losses
from bakery.engine.models import BaseModel
from bakery.engine.on_policy import Continuations, OnPolicyTrainer, Places
from bakery.engine.readout import Readout
from bakery.engine.scoring import beginning
from bakery.engine.trainer import BakingTrainer
from bakery.engine.versions import versions
from bakery.identity import (
    BakeRequest,
    OnPolicySettings,
    SamplingSettings,
    TrainingSettings,
    digest,
)
from bakery.records import write_atomic
from bakery.reporting import Reporter
from bakery.stages.mix import Mix, TargetData, mix

# It warns that it orders checkpoints by number instead of time: that is the order they have.
logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)

Grade = Callable[[Fidelity | None, Fidelity | None, int, float], dict[str, Any]]

LITTLE_TO_BAKE = 0.01
"""Nats per token under which a prompt hardly changes what the parent says."""

METRICS, RESULT, DONE, CHECKPOINTS = "metrics.jsonl", "bake.json", "done.json", "checkpoints"
ON_POLICY = "on_policy"
TAUGHT = "taught.safetensors"
"""The student at the end of the first phase, where there is a second."""

SAVE_STEPS = 10
"""Steps of the second phase between two checkpoints."""

RECORD = "teacher.safetensors"
RECORD_GB = 16.0
"""Disk space, in 10^9 bytes, that the record of the teacher may take."""


def run(
    request: BakeRequest,
    data: Sequence[TargetData],
    out: Path,
    *,
    base: BaseModel,
    model: PreTrainedModel | PeftModel,
    parent: Path | None,
    grade: Grade,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train the adapter of `request` and return what bake.json says.

    `model` is the base, or the base with the parent's adapter attached; `parent` the folder of
    that adapter. `grade` makes the card of what is measured before and after.
    """
    started, clock = _now(), time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "request.json", json.dumps(asdict(request), indent=2) + "\n")
    settings = request.training
    mixture = mix(data, base.chat, total=settings.total_trajectories, seed=settings.seed)
    student = adapters.attach_new(model, settings)
    readout = Readout(student)
    parent_digest = adapter_folder.digest(parent) if parent else ""
    of = digest([base.id.digest, parent_digest])
    record, live = _taught(student, readout, mixture, out / RECORD, of, reporter)
    with adapters.parent_only(student):
        before = _measured(student, readout, record, mixture)
    notes = [*mixture.notes, *live, *_notes(readout, before)]
    for note in notes:
        reporter.note(note)
    step, seen, chosen = _train(request, student, readout, record, mixture, out, base, reporter)
    own: dict[str, Any] = {}
    if settings.on_policy is not None:
        own = _train_on_policy(request, student, readout, data, mixture, out, base, reporter)
        step += settings.on_policy.steps
    after = _measured(student, readout, record, mixture)
    adapter_digest = adapters.save_composed(
        student, out / str(step), bake_id=request.id, parent=parent
    )
    result = {
        **_described(request, parent_digest),
        "step": step,
        "digest": adapter_digest,
        "targets": mixture.targets,
        "loss": _loss(seen),
        **own,
        "card": grade(before, after, mixture.held_out_stimuli, _tokens_saved(mixture)),
        "seconds": _seconds(mixture, time.monotonic() - clock),
        "numerics": chosen,
        "notes": notes,
        "started": started,
        "finished": _now(),
    }
    write_atomic(out / RESULT, json.dumps(result, indent=2) + "\n")
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    teacher.forget(out / RECORD)
    write_atomic(out / DONE, json.dumps({"schema": 1}) + "\n")
    return result


def _taught(
    student: PeftModel, readout: Readout, mixture: Mix, path: Path, of: str, reporter: Reporter
) -> tuple[Features, list[str]]:
    """Return what the teacher says, from its record or live; if live, with the note that says why.

    A record that lies there already costs nothing more.
    """
    pairs = [*mixture.train, *mixture.held_out]
    if not teacher.is_recorded(path, pairs, of=of):
        teacher.forget(path)
        why = teacher.too_large(teacher.size_of(student, readout, pairs), path.parent, RECORD_GB)
        if why:
            begins = [beginning(pair.teacher) for pair in pairs]
            return teacher.LiveTeacher(student, readout, begins), [why]
    return teacher.record(student, readout, pairs, path, of=of, reporter=reporter), []


def _notes(readout: Readout, before: Fidelity | None) -> list[str]:
    """Return what a person should know before the training."""
    notes = []
    if not readout.exact:
        notes.append(
            "the head is trained, or the architecture does more than multiply by it: "
            "the teacher's logits are kept instead of its hidden states"
        )
    if before is not None and before.kl < LITTLE_TO_BAKE:
        notes.append(
            f"the prompt moves the parent by {before.kl:.2g} nats per token: little to bake"
        )
    return notes


def _described(request: BakeRequest, parent_digest: str) -> dict[str, Any]:
    """Return what bake.json says of the request itself, and of what it was made with."""
    parent = {"model": str(request.parent), "digest": parent_digest} if request.parent else None
    return {
        "schema": 1,
        "bake_id": request.id,
        "base": asdict(request.base),
        "parent": parent,
        "training": request.training.as_data(),
        "versions": versions(),
    }


def _train(
    request: BakeRequest,
    student: PeftModel,
    readout: Readout,
    record: Features,
    mixture: Mix,
    out: Path,
    base: BaseModel,
    reporter: Reporter,
) -> tuple[int, list[float], dict[str, Any]]:
    """Train, and return the last step, the loss of every step, and how the student was run."""
    settings, micro = request.training, request.micro_batch_size
    folder = out / CHECKPOINTS
    if (folder / TAUGHT).is_file():
        adapters.load_own_state(student, folder / TAUGHT)
        seen, kept = losses(out / METRICS), numerics.written_in(out / numerics.FILE)
        return len(seen), seen, kept.as_data() if kept else {}
    total = math.ceil(len(mixture.train) / settings.global_batch) * settings.epochs
    trainer = BakingTrainer(
        student,
        _arguments(settings, micro, folder, total, base.device.type),
        readout=readout,
        loss=make_loss(settings.loss),
        train_dataset=Examples([[pair] for pair in mixture.train], record),
        pad_id=base.chat.pad_id,
        numerics=out / numerics.FILE,
        note=reporter.note,
        callbacks=[Metrics(out / METRICS, reporter)],
    )
    trainer.remove_callback(PrinterCallback)
    last = _last_whole(folder)
    if last is not None:
        reporter.note(f"training goes on from {last.name}")
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    seen = losses(out / METRICS)
    if settings.on_policy is not None:
        draft = folder / f".{TAUGHT}"
        save_file(adapters.own_state(student), draft)
        draft.replace(folder / TAUGHT)
    chosen = trainer.numerics.as_data() if trainer.numerics else {}
    return trainer.state.global_step, seen, chosen


def _train_on_policy(
    request: BakeRequest,
    student: PeftModel,
    readout: Readout,
    data: Sequence[TargetData],
    mixture: Mix,
    out: Path,
    base: BaseModel,
    reporter: Reporter,
) -> dict[str, Any]:
    """Go on from the student's own answers to the training questions; return what is said of it.

    Answers are sampled as those of the target were, and scored by the parent behind its prompt.
    """
    settings, own = request.training, request.training.on_policy
    assert own is not None
    folder = out / CHECKPOINTS / ON_POLICY
    begins = [beginning(pair.teacher) for pair in mixture.train]
    before = len(losses(out / METRICS))
    metrics = Metrics(out / METRICS, reporter, before=before, phase=ON_POLICY)
    trainer = OnPolicyTrainer(
        student,
        _on_policy_arguments(settings, own, request.micro_batch_size, folder, base.device.type),
        readout=readout,
        loss=make_loss(own.loss),
        train_dataset=Places(
            [()] * len(mixture.train), teacher.LiveTeacher(student, readout, begins)
        ),
        pad_id=base.chat.pad_id,
        numerics=out / numerics.FILE,
        note=reporter.note,
        callbacks=[metrics],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.learn_from(
        Continuations(
            mixture.train,
            {target.share.id: _sampling(target) for target in data},
            end_ids=frozenset(base.chat.end_ids),
            pad_id=base.chat.pad_id,
            seed=settings.seed,
        )
    )
    last = _last_whole(folder)
    if last is not None:
        reporter.note(f"the on-policy phase goes on from {last.name}")
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    seen = losses(out / METRICS, ON_POLICY)
    figures = {f"{name}_loss": value for name, value in _loss(seen).items()}
    return {ON_POLICY: {"after": before, **asdict(own), **figures}}


def _on_policy_arguments(
    settings: TrainingSettings, own: OnPolicySettings, micro: int, folder: Path, device: str
) -> TrainingArguments:
    slower = replace(settings, learning_rate=own.learning_rate)
    arguments = _arguments(slower, micro, folder, own.steps, device)
    arguments.max_steps = own.steps
    arguments.save_strategy, arguments.save_steps = SaveStrategy.STEPS, SAVE_STEPS
    return arguments


def _sampling(target: TargetData) -> SamplingSettings:
    """Return how the answers of a target were sampled."""
    text = (target.target_dir / "request.json").read_text(encoding="utf-8")
    return SamplingSettings(**json.loads(text)["sampling"])


def _loss(seen: Sequence[float]) -> dict[str, float]:
    return {"first": seen[0], "last": seen[-1], "min": min(seen)}


def _last_whole(folder: Path) -> Path | None:
    """Return the newest checkpoint, after dropping one that a kill left half written.

    It would count as the newest where transformers keeps one checkpoint and drops the others.
    """
    for path in folder.glob("checkpoint-*"):
        if not checkpoints.is_whole(path):
            shutil.rmtree(path)
    return checkpoints.newest(folder)


def _arguments(
    settings: TrainingSettings, micro: int, folder: Path, total: int, device: str
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.global_batch // micro,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        warmup_steps=math.ceil(settings.warmup_ratio * total),
        lr_scheduler_type=settings.scheduler,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        data_seed=settings.seed,
        optim="adamw_torch",
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is no number has to be seen
        report_to="none",
        disable_tqdm=True,
        save_strategy="epoch",
        save_total_limit=1,
        remove_unused_columns=False,
        label_names=[],
        use_cpu=device == "cpu",
        dataloader_pin_memory=device != "cpu",
    )


def _measured(
    student: PeftModel, readout: Readout, record: Features, mixture: Mix
) -> Fidelity | None:
    if not mixture.held_out:
        return None
    student.eval()
    return fidelity(student, readout, record, mixture.held_out)


def _tokens_saved(mixture: Mix) -> float:
    """Return how much shorter a request is without the prompt, in tokens."""
    return fmean(len(p.teacher.ids) - len(p.student.ids) for p in mixture.train)


def _seconds(mixture: Mix, bake: float) -> dict[str, float]:
    stages = {
        name: sum(t["seconds"][name] for t in mixture.targets) for name in ("stim", "rollout")
    }
    return {**stages, "bake": round(bake, 2)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
