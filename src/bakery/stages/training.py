"""Pairs and the teacher's record in, trained weights out: the first phase of a bake.

An interrupted run goes on from its last checkpoint. Where something follows it (`on_policy`,
`until`), the end of it is kept, so that it is never trained twice.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from peft import PeftModel
from safetensors.torch import save_file
from torch import nn
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from bakery import costs
from bakery.card import together
from bakery.engine import memory, processes
from bakery.engine.loss.losses import Divergence, make_loss
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters
from bakery.engine.models.half_baked import HalfBaked
from bakery.engine.models.models import BaseModel
from bakery.engine.modes import evaluating
from bakery.engine.teacher.elsewhere import Elsewhere
from bakery.engine.teacher.examples import Examples, Features
from bakery.engine.teacher.fidelity import fidelity
from bakery.engine.text.views import Pair
from bakery.engine.training import checkpoints, numerics, start
from bakery.engine.training.metrics import Metrics, losses
from bakery.engine.training.shown import Send
from bakery.engine.training.spread import micro_batches
from bakery.engine.training.step_figures import StepFigures
from bakery.engine.training.trainer import BakingTrainer
from bakery.engine.workers import ALONE, Worker
from bakery.errors import ModelError, StageError
from bakery.identity import BakeRequest
from bakery.reporting import Reporter
from bakery.shaping import IDLE_FIRST_STEP, FirstWeights, TrainingSettings
from bakery.stages import steps
from bakery.stages.mix import Mix
from bakery.store.results import METRICS

# It warns that it orders checkpoints by number instead of time: that is the order they have.
logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)

CHECKPOINTS, ON_POLICY = "checkpoints", "on_policy"

TAUGHT = "taught.safetensors"
"""The student at the end of the first phase, where something may follow it."""


SomeTrainer = TypeVar("SomeTrainer", bound=BakingTrainer)


@dataclass(frozen=True)
class Work:
    """What both phases of a bake have in hand."""

    request: BakeRequest
    student: PeftModel
    readout: Readout
    record: Features
    mixture: Mix
    base: BaseModel
    out: Path
    parent: Path | None
    reporter: Reporter
    teacher: Elsewhere | None = None
    """Another model that teaches; None: the parent does."""
    worker: Worker = ALONE
    """This process among those that train."""

    @property
    def taught_by(self) -> tuple[nn.Module, Readout]:
        """The model that teaches, and what reads it."""
        if self.teacher is None:
            return self.student, self.readout
        return self.teacher.model, self.teacher.readout

    @cached_property
    def settings(self) -> TrainingSettings:
        """What shapes the weights: as the adapter started, and for so many answers."""
        asked = self.request.training
        first, why = asked.first_weights, start.why_random(self.out)
        if first is not None and why not in (None, start.NOTHING_TO_CLOSE):
            asked = replace(
                asked,
                learning_rate=first.drawn_rate or asked.learning_rate,
                epochs=first.drawn_epochs or asked.epochs,
                first_weights=None,
            )
        return asked.settled(len(self.mixture.learnt) - self.mixture.beside)

    @property
    def batch(self) -> int:
        """How many answers a step learns."""
        batch = self.settings.global_batch
        assert batch is not None  # settled
        return batch

    @cached_property
    def micro_batch(self) -> int:
        """How many of them are run at once."""
        own = math.ceil(self.batch / self.worker.count)
        most = min(self.request.micro_batch_size, own)
        running = self.request.running
        if running.fits_memory and not running.gradient_checkpointing:
            most = costs.fitting(
                memory.shape_of(self.student),
                rank=self.settings.r,
                tokens=max(len(pair.student.ids) for pair in self.mixture.train),
                budget=memory.training_budget(self.base.device, self.worker.local_count),
                most=most,
            )
        if self.worker.count > 1:  # as even as it can be
            return math.ceil(own / math.ceil(own / most))
        return max(count for count in range(1, most + 1) if self.batch % count == 0)

    @cached_property
    def total(self) -> int:
        """How many steps the first phase has."""
        return math.ceil(len(self.mixture.learnt) / self.batch) * self.settings.epochs

    @property
    def last(self) -> int:
        """The last step of the last phase."""
        own = self.settings.on_policy
        return self.total + (own.steps if own else 0)

    def is_kept(self, step: int) -> bool:
        """Tell whether the model after a step is kept beside the last one."""
        settings, per_epoch = self.settings, self.total // self.settings.epochs
        if step >= self.last:
            return False
        if any(step % every == 0 for every in settings.save_every_steps):
            return True
        epoch, within = divmod(step, per_epoch)
        return (
            not within
            and epoch <= settings.epochs
            and any(epoch % every == 0 for every in settings.save_every_epochs)
        )

    def is_measured(self, step: int) -> bool:
        """Tell whether the model after a step is measured on what is held out."""
        every = self.request.running.eval_interval
        return self.is_kept(step) or bool(every and step % every == 0)


def begin(
    student: PeftModel,
    readout: Readout,
    pairs: Sequence[Pair],
    asked: FirstWeights | None,
    out: Path,
    *,
    worker: Worker = ALONE,
    reporter: Reporter,
) -> None:
    """Give the adapter its first weights, where they are not those that it was drawn with.

    Before the teacher is recorded: it needs few of its answers, and brings most of what is learnt.
    """
    folder = out / CHECKPOINTS
    _drop_damaged(folder, reporter)
    _take_over(out, worker)
    begun = (folder / TAUGHT).is_file() or checkpoints.newest(folder, reporter.note) is not None
    if asked is None or begun:
        return
    with reporter.doing("fitting first weights"):
        why = worker.same(lambda: start.fitted(student, readout, pairs, asked))
    if worker.count > 1:
        own = adapters.own_state(student)
        worker.send(own)
        adapters.put_own_state(student, own)
    for note in start.written(out, why):
        reporter.note(note)


LEFT = ("*.json", METRICS, f"{CHECKPOINTS}/*.*", f"{CHECKPOINTS}/*checkpoint-*/*",
        f"{CHECKPOINTS}/*/checkpoint-*/*")  # fmt: skip
"""What a run that goes on finds, beside the record of the teacher."""


def _take_over(out: Path, worker: Worker) -> None:
    """Give the other processes what a run before has left to the first, in their own folders."""
    if worker.count > 1:
        there = {path for pattern in LEFT for path in out.glob(pattern) if path.is_file()}
        names = sorted(str(path.relative_to(out)) for path in there)
        processes.send_files(worker, out, names)


def _drop_damaged(folder: Path, reporter: Reporter) -> None:
    """Remove what cannot be gone on from, and say so: training begins before it.

    A kill leaves a checkpoint half written.
    """
    for phase in (folder, folder / ON_POLICY, *folder.glob("round-*/")):
        checkpoints.drop_damaged(phase, reporter.note)
    for kept in folder.glob("*.safetensors"):
        try:
            checkpoints.check_weights(kept)
        except ModelError as error:
            kept.unlink()
            reporter.note(f"{error.message}: it is removed, and what came to it is trained again")


def train(work: Work, send: Send) -> tuple[int, list[float], dict[str, Any]]:
    """Train, and return the last step, the loss of every step, and how the student was run.

    `send` gets every row of figures.
    """
    settings, folder = work.settings, work.out / CHECKPOINTS
    if (folder / TAUGHT).is_file():
        adapters.load_own_state(work.student, folder / TAUGHT)
    else:
        _forget_rounds(folder)
        steps.coming(work.out, steps.FIRST, work.total)
        if settings.on_policy is not None:
            steps.coming(work.out, ON_POLICY, settings.on_policy.steps)
        pairs = Examples([[pair] for pair in work.mixture.learnt], work.record)
        made = trainer(BakingTrainer, work, arguments(work, folder), loss_of(settings), pairs)
        watch(made, work, send)
        go_on(made, folder, "training", work.reporter)
        if settings.on_policy is not None or settings.until is not None:
            keep(work.student, folder / TAUGHT)
    seen = work.worker.of_first(losses(work.out / METRICS))
    if len(seen) != work.total:
        raise StageError(
            f"{work.out / METRICS} has {len(seen)} steps, where {work.total} were trained: it was "
            "damaged or changed",
            hint=f"Delete {work.out}, then run the same command: it is trained from its start.",
        )
    chosen = work.worker.of_first(numerics.written_in(work.out / numerics.FILE))
    return len(seen), seen, chosen.as_data() if chosen else {}


def trainer(
    kind: type[SomeTrainer],
    work: Work,
    given: TrainingArguments,
    loss: Divergence,
    examples: Examples,
) -> SomeTrainer:
    """Return the trainer of a phase."""
    return kind(
        work.student,
        given,
        readout=work.readout,
        loss=loss,
        train_dataset=examples,
        pad_id=work.base.chat.pad_id,
        numerics=work.out / numerics.FILE,
        note=work.reporter.note,
        idle_first_step=work.settings.warmup == IDLE_FIRST_STEP,
        step_size=work.batch,
    )


def go_on(trainer: BakingTrainer, folder: Path, what: str, reporter: Reporter) -> None:
    """Train from the last checkpoint, or from the start where there is none."""
    last = checkpoints.newest(folder, reporter.note)
    if last is not None:
        reporter.note(f"{what} goes on from {last.name}")
    with _leaving_nothing_half(folder):
        trainer.train(resume_from_checkpoint=None if last is None else str(last))


def _forget_rounds(folder: Path) -> None:
    """Drop what rounds left that went on from another end of the first phase."""
    for path in folder.glob("round*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def keep(student: PeftModel, path: Path) -> None:
    """Keep the student as it stands, for a run that goes on behind it."""
    draft = path.with_name(f".{path.name}")
    save_file(adapters.own_state(student), draft)
    draft.replace(path)


def loss_of(settings: TrainingSettings) -> Divergence:
    """Return what is minimised."""
    beta = 0.5 if settings.beta is None else settings.beta
    return make_loss(settings.loss, temperature=settings.kl_temperature, beta=beta)


def watch(
    trainer: BakingTrainer,
    work: Work,
    send: Send,
    *,
    before: int = 0,
    phase: str | None = None,
) -> None:
    """Have every step logged, measured and kept as it was asked for."""
    held_out = work.mixture.measured

    def measure() -> float | None:
        if not work.worker.does_all:
            return None
        with evaluating(work.student):
            found = together(fidelity(work.student, work.readout, work.record, held_out))
        return found.kl if found else None

    figures = StepFigures(
        lambda: trainer.step_tokens, measure, is_due=work.is_measured, first=before
    )
    kept = HalfBaked(
        work.student,
        work.out,
        bake_id=work.request.id,
        parent=work.parent,
        is_kept=work.is_kept,
        first=before,
    )
    metrics = Metrics(
        work.out / METRICS,
        work.reporter,
        before=before,
        phase=phase,
        beside=figures.take,
        send=send,
        begins=lambda done, total: steps.begin(
            work.out, phase or steps.FIRST, total, before=before, done=done
        ),
    )
    watching: list[TrainerCallback] = [figures, kept, metrics]
    for callback in watching:
        trainer.add_callback(callback)
    trainer.remove_callback(PrinterCallback)


def arguments(work: Work, folder: Path, *, own: int | None = None) -> TrainingArguments:
    """Return what the trainer is told; `own` steps where they are not those of the first phase."""
    settings, micro = work.settings, work.micro_batch
    device = work.base.device.type
    total = work.total if own is None else own
    # The first of the warm-up has the rate 0: a bake of one step would learn nothing.
    ratio = min(math.ceil(settings.warmup_ratio * total), total - 1)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=micro_batches(work.batch, micro, work.worker.count),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        warmup_steps=ratio if settings.warmup_steps is None else settings.warmup_steps,
        lr_scheduler_type=settings.scheduler,
        max_grad_norm=settings.max_grad_norm,
        seed=settings.seed,
        data_seed=settings.order_seed,
        optim=settings.optimizer,
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
        **_twice(work.request.running.gradient_checkpointing),
    )


def _twice(asked: bool) -> dict[str, Any]:
    """Return how activations are computed twice: the way that needs no gradient of the inputs."""
    if not asked:
        return {}
    known = {field.name for field in fields(TrainingArguments)}
    # transformers 5.23 calls it so; before, it was gradient_checkpointing.
    name = "activation_checkpointing"
    if name not in known:
        name = "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}}


@contextmanager
def _leaving_nothing_half(folder: Path) -> Iterator[None]:
    """Drop the checkpoint under way where training ends early: on a full disk it takes room."""
    try:
        yield
    except BaseException:
        checkpoints.drop_damaged(folder, lambda _: None)
        raise
