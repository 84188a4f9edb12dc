"""A `transformers.Trainer` whose loss is the divergence from the recorded teacher.

Only loss, batches, evaluation and checkpoints of the one trainable adapter; every
`TrainingArguments` field works as it does in transformers. Where examples come from is
somebody else's business: `stages.bake` for bgit, `distil.trainer` for the library.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from peft import PeftModel
from safetensors.torch import save_file
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from bakery.engine.loss.losses import Loss
from bakery.engine.loss.readout import Readout
from bakery.engine.memory import keep_freed_memory
from bakery.engine.models.adapters import BAKE, load_own_state, own_state
from bakery.engine.packed.attention import KEYWORD
from bakery.engine.packed.layouts import Packed
from bakery.engine.packed.support import support_of
from bakery.engine.sharded import is_shared_out
from bakery.engine.teacher.examples import PADDED, SHARED, Examples, collator
from bakery.engine.teacher.fidelity import totals
from bakery.engine.training import spread
from bakery.engine.training.checkpoints import OWN_WEIGHTS
from bakery.engine.training.numerics import (
    Numerics,
    faster_kernel,
    in_as_many,
    shapes,
    write,
    written_in,
)
from bakery.engine.workers import Worker
from bakery.errors import ConfigError, StageError

MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids", KEYWORD)
"""What of a batch goes into the model's forward."""


def worker_of(args: TrainingArguments) -> Worker:
    """Return this process among those of a run, before there is a trainer."""
    gather = gather_object if args.world_size > 1 else list
    return Worker(args.process_index, args.world_size, gather)


class BakingTrainer(Trainer):
    """Fit the student to the teacher's recorded distribution at every target position."""

    # The loss is divided by the weight of the whole optimiser step, on all processes.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PeftModel,
        args: TrainingArguments,
        *,
        readout: Readout,
        loss: Loss,
        train_dataset: Examples,
        eval_dataset: Examples | None = None,
        pad_id: int = 0,
        weighting: str = "token",
        numerics: Path | None = None,
        note: Callable[[str], None] = lambda _: None,
        idle_first_step: bool = False,
        step_size: int | None = None,
        **more: Any,
    ) -> None:
        """`numerics` is a file: choices that are in it are taken, others are made and put there.

        With `idle_first_step` the rate begins at 0 where it is warmed up, as it does in
        transformers; else no step of a schedule has the rate 0. `step_size` examples make a step
        of several processes; None: as many as all their micro-batches of it hold.
        """
        self._step_size = step_size
        self._idle_first_step = idle_first_step
        self.readout = readout
        self.loss = loss
        self.step_tokens = 0
        """Targets of the optimiser step under way, in all processes."""
        self._numerics_file, self._note = numerics, note
        self.support = support_of(model)
        self.numerics = self._replayed(model, args)
        self._layout = SHARED if self.support.refused is None else PADDED
        if self.numerics is not None:
            self._layout = self.numerics.layout
        if args.device.type == "cpu":
            keep_freed_memory()
        for told in _mended(args, len(train_dataset)):
            note(told)
        if args.world_size > 1:
            spread.only_trained(model)
        more["callbacks"] = [*(more.get("callbacks") or ()), _Thaw()]
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            data_collator=collator(train_dataset, pad_id, weighting=weighting, layout=self._layout),
            **more,
        )

    def train(self, *given: Any, **more: Any) -> Any:
        """Train as `Trainer` does.

        On a CPU without the search for garbage that accelerate begins with to empty a GPU's memory:
        going through all that torch and transformers have loaded takes as long as a small step.
        """
        if self.args.device.type == "cpu":
            gc.freeze()
        try:
            return super().train(*given, **more)
        finally:
            gc.unfreeze()

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the schedule of the learning rate, without its idle first step.

        It is transformers' own curve over one step more, from its second step on.
        """
        made = self.lr_scheduler is None and not self._idle_first_step
        scheduler = super().create_scheduler(num_training_steps + made, optimizer)
        if made and isinstance(scheduler, LambdaLR):
            _begin_one_later(scheduler)
        return scheduler

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *more: Any) -> Any:
        """Run forward and backward under the layout: checkpointing runs forwards in both."""
        layout = inputs.get(KEYWORD)
        if self.numerics is None:
            self.numerics = self._choose(layout)
        if layout is None:
            return super().training_step(model, inputs, *more)
        layout.kernel = self.numerics.attention
        with self.support.attending():
            return super().training_step(model, inputs, *more)

    def _replayed(self, model: PeftModel, args: TrainingArguments) -> Numerics | None:
        """Return the choices of an earlier run, where they were made for such a model.

        Those that the first process finds: all have to choose the same.
        """
        found = written_in(self._numerics_file) if self._numerics_file else None
        found = worker_of(args).of_first(found)
        if found is None or found.model != shapes(model):
            return None
        if found.layout != PADDED and self.support.refused is not None:
            return None
        before = found
        found = in_as_many(found, args.world_size, sharded=is_shared_out(model))
        if found != before and self._numerics_file is not None and args.process_index == 0:
            write(self._numerics_file, found)
        self._note(f"{found} (as in {self._numerics_file})")
        return found

    def _choose(self, layout: Packed | None) -> Numerics:
        """Choose how the student is run, by what its first batch looks like; say and write it."""
        config = self.model.config.get_text_config()
        kind, why, kernel = self._layout, self.support.refused or "", config._attn_implementation
        if kind != PADDED:
            why = ""
            if kernel == "eager":  # asked for, or the only one that this architecture has
                kernel = "explicit"
            else:  # a batch without targets has no layout
                segments = tuple(s for _, group in layout.groups for s in group) if layout else ()
                kernel = faster_kernel(config, segments, self.args.device)
        threads, how = torch.get_num_threads(), self.readout.how
        count, sharded = self.args.world_size, is_shared_out(self.model)
        chosen = Numerics(kind, kernel, threads, how, shapes(self.model), why, count, sharded)
        chosen = self.worker.of_first(chosen)
        if self._numerics_file is not None and self.args.process_index == 0:
            write(self._numerics_file, chosen)
        self._note(str(chosen))
        return chosen

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """Return the micro-batches of one optimiser step, and what their targets weigh."""
        if self.is_finished:
            return [], torch.zeros((), device=device)
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        tokens = sum(len(batch["weights"]) for batch in batches)
        self.step_tokens = (
            tokens if self.args.world_size == 1 else round(self._summed((tokens,))[0])
        )
        weight = torch.stack([batch["weights"].sum() for batch in batches]).sum().to(device)
        return batches, self._over_processes(weight)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of this process's part of every step; alone it is transformers' own."""
        loader: DataLoader[Any] = super().get_train_dataloader()
        return spread.dealt(loader, self.args, self.worker, self._step_size)

    @property
    def worker(self) -> Worker:
        """This process among those of the run."""
        accelerator = self.accelerator
        return replace(
            worker_of(self.args), wait=accelerator.wait_for_everyone, autocast=accelerator.autocast
        )

    @property
    def is_finished(self) -> bool:
        """Whether a run that is resumed had taken all its steps: the loop would take one more."""
        return bool(0 < self.state.max_steps <= self.state.global_step)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the weighted divergence over the weight of the whole optimiser step."""
        given = {name: inputs[name] for name in MODEL_INPUTS if name in inputs}
        weights_N = inputs["weights"]
        at = inputs["rows"], inputs["cols"], inputs["teacher"], weights_N
        form = self.train_dataset.record.form
        total, _ = self.readout.divergence(model, given, *at, self.loss, form)
        weight = weights_N.sum() if num_items_in_batch is None else num_items_in_batch
        divisor = torch.as_tensor(weight, dtype=total.dtype, device=total.device).clamp(min=1e-9)
        # Processes average their gradients; each has only its own share of the sum.
        loss = total / divisor * self.args.world_size
        return (loss, {}) if return_outputs else loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Ask a live teacher here: the workers of a data loader have no model to run."""
        prepared = super()._prepare_inputs(inputs)
        if "pairs" in prepared:
            examples: Examples = self.train_dataset
            prepared["teacher"] = examples.record.features_of_pairs(prepared.pop("pairs"))
        return prepared

    def log(self, logs: dict[str, float], *more: Any, **named: Any) -> None:
        """Log, or stop: a loss that is not a number stays so."""
        if not math.isfinite(logs.get("loss", 0.0)):
            raise StageError(
                "the loss is not a number any more",
                hint="Lower learning_rate; if it is the first step, look at the base's weights.",
            )
        super().log(logs, *more, **named)

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Measure the divergence per target token, each token counted once on all processes."""
        examples = dataloader.dataset
        if not isinstance(examples, Examples):
            raise ConfigError(
                "only the rows that the trainer was made with can be evaluated",
                hint="Give eval_dataset to the trainer, and call evaluate() without one.",
            )
        pairs = examples.pairs[self.args.process_index :: self.args.world_size]
        self.model.eval()
        found = totals(self.model, self.readout, examples.record, pairs, self.loss)
        loss, agreed, tokens = self._summed(found)
        metrics = {
            f"{metric_key_prefix}_loss": loss / max(tokens, 1),
            f"{metric_key_prefix}_top1_agreement": agreed / max(tokens, 1),
        }
        return EvalLoopOutput(None, None, metrics, len(examples))

    def _summed(self, found: tuple[float, ...]) -> list[float]:
        """Return numbers of this process added to those of all others."""
        values = torch.tensor(found, dtype=torch.float64).float().to(self.args.device)
        return self._over_processes(values).tolist()

    def _over_processes(self, values: torch.Tensor) -> torch.Tensor:
        return values if self.args.world_size == 1 else self.accelerator.reduce(values, "sum")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Checkpoint a bake's own tensors alone: base and parent are elsewhere, and frozen."""
        if BAKE not in self.model.peft_config:
            super()._save(output_dir, state_dict)
            return
        if not self.args.should_save:  # each process comes here, and one folder may be all theirs
            return
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(own_state(self.model), str(folder / OWN_WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Put the trainable tensors of a checkpoint back."""
        own = Path(resume_from_checkpoint) / OWN_WEIGHTS
        if own.is_file():
            load_own_state(model or self.model, own)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)


def _begin_one_later(scheduler: LambdaLR) -> None:
    scheduler.lr_lambdas = [_one_later(curve) for curve in scheduler.lr_lambdas]
    groups = zip(
        scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas,
        strict=True,
    )  # fmt: skip
    for group, rate, curve in groups:
        group["lr"] = rate * curve(0)
    scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def _one_later(curve: Callable[[int], float]) -> Callable[[int], float]:
    return lambda step: curve(step + 1)


class _Thaw(TrainerCallback):
    """Lets the garbage collector see everything again, once training has begun."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Called after accelerate has looked for garbage."""
        gc.unfreeze()


def _mended(args: TrainingArguments, rows: int) -> Iterator[str]:
    """Change arguments that would train something else than they seem to, and say so."""
    args.logging_nan_inf_filter = False  # a loss that is no number has to be seen
    if args.n_gpu > 1:
        args._n_gpu = 1
        yield "one process trains on one GPU: start it with torchrun or accelerate for more"
    if args.dataloader_persistent_workers:
        args.dataloader_persistent_workers = False
        yield "dataloader_persistent_workers is off: workers would keep the first round's answers"
    if args.world_size > 1 and not spread.deals(args):
        each = args.per_device_train_batch_size
        if rows % (each if args.accelerator_config.split_batches else each * args.world_size):
            yield (
                f"{rows} rows do not fill the batches of {args.world_size} processes: with "
                "split_batches or dispatch_batches the last of every epoch is filled up with rows "
                "it began with"
            )
