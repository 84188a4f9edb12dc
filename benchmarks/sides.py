"""What is measured: each side does one kind of work on a workload and says what it cost.

Sides: `ours`, `trl`, `plain` (see `reference`), `floor` and `fitting` (bare loops). Models,
tokenizers and data sets are made outside the measurement on every side; our trainer's construction
is inside, TRL's is not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once

from bakery import (
    BakeryConfig,
    ContextBakingTrainer,
    ContextConfig,
    create_conversational_dataset,
    create_dataset,
)
from bakery.engine.training.trainer import MODEL_INPUTS
from benchmarks import reference
from benchmarks.meter import Meter
from benchmarks.workload import Workload

Outcome = dict[str, Any]
Side = Callable[[Workload, str], Outcome]

MICRO_BATCH = 16
"""Rows of one forward pass of ours in a whole bake; a step and the floor take all rows at once."""

LENGTH = "completions/mean_length"
"""What TRL logs each time it has sampled."""

WARM_UP = 2
STEPS = 5
"""Steps whose median is a step's time; as many as `WARM_UP` go before them."""


def ours(workload: Workload, folder: str, *, reuse: bool = True) -> Outcome:
    """Bake with our trainer, from constructing it to the last step."""
    model, rows = workload.model(), _rows(workload)
    with Meter() as meter:
        trainer = _trainer(workload, folder, model, rows, reuse=reuse, micro_batch=MICRO_BATCH)
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tokens = sum(pair.num_targets for pair in trainer.train_dataset.pairs) * workload.epochs
    return _outcome(meter, losses, tokens, steps=trainer.state.global_step, **_numerics(trainer))


def ours_fresh(workload: Workload, folder: str) -> Outcome:
    """The same with new answers in every epoch."""
    return ours(workload, folder, reuse=False)


def plain(workload: Workload, folder: str) -> Outcome:
    """Bake with the plain reference."""
    model, _ = workload.model(), workload.system
    with Meter() as meter:
        losses, tokens = reference.train(workload, model)
    return _outcome(meter, losses, tokens, steps=len(losses))


def trl(workload: Workload, folder: str) -> Outcome:
    """Bake with TRL's SDFTTrainer: full logits, forward KL, answers from the teacher."""
    from benchmarks.trl_side import trainer_of

    trainer = trainer_of(workload, folder)
    with Meter() as meter:
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    lengths = [e[LENGTH] for e in trainer.state.log_history if LENGTH in e]
    tokens = round(statistics.mean(lengths) * workload.trajectories * workload.epochs)
    return _outcome(meter, losses, tokens, steps=trainer.state.global_step)


def ours_sampling(workload: Workload, folder: str) -> Outcome:
    """Sample all answers and record the teacher over them: prefill, decoding, pairing, files."""
    trainer = _trainer(workload, folder, workload.model(), _rows(workload))
    with Meter() as meter:
        trainer.start_round(0)
    tokens = sum(pair.num_targets for pair in trainer.train_dataset.pairs)
    return _outcome(meter, [], tokens, **_numerics(trainer))


def plain_sampling(workload: Workload, folder: str) -> Outcome:
    """Sample all answers with the plain reference, which records nothing."""
    model, _ = workload.model(), workload.system
    with Meter() as meter:
        rows = reference.sampled(workload, model)
    return _outcome(meter, [], sum(len(row.answer) for row in rows))


def ours_train(workload: Workload, folder: str) -> Outcome:
    """All of train() on answers that are there already."""
    trainer = _trainer(workload, folder, workload.model(), _rows(workload))
    trainer.start_round(0)
    with Meter() as meter:
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return _outcome(meter, losses, 0, steps=trainer.state.global_step, **_numerics(trainer))


def floor_train(workload: Workload, folder: str) -> Outcome:
    """As many steps of the floor: the step's median times their number."""
    found = floor_step(workload, folder)
    return found | {"cpu_s": found["cpu_s"] * workload.steps, "steps": workload.steps}


def ours_step(workload: Workload, folder: str) -> Outcome:
    """Forward, loss and backward of one batch of the trainer, once it is warm."""
    trainer, batch = _at_a_step(workload, folder)
    weight = batch["weights"].sum()

    def step() -> None:
        # training_step pops what it reads: each step gets a batch of its own.
        trainer.training_step(trainer.model, dict(batch), weight)

    return _stepped(trainer, step) | _numerics(trainer)


def floor_step(workload: Workload, folder: str) -> Outcome:
    """Forward and backward of the student over the same tokens, head at the answers only.

    No teacher and no loss: the sum of the logits is what is differentiated.
    """
    return _bare(workload, folder, lambda logits_NV: logits_NV.sum())


def fitting_step(workload: Workload, folder: str) -> Outcome:
    """The same with the cross-entropy of one id a position: a step of ordinary fine-tuning."""
    return _bare(workload, folder, lambda logits_NV: F.cross_entropy(logits_NV, _ids(logits_NV)))


def ours_memory(workload: Workload, folder: str) -> Outcome:
    """One step, from drawing its batch (the record is read from its map) to its gradient."""
    trainer = _trainer(workload, folder, workload.model(), _rows(workload))
    trainer.start_round(0)
    trainer.model.train()
    with Meter() as meter:
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.training_step(trainer.model, batch, batch["weights"].sum())
    return _outcome(meter, [float(loss)], len(batch["rows"]), **_numerics(trainer))


def plain_memory(workload: Workload, folder: str) -> Outcome:
    """One micro-batch of the reference with as many rows."""
    model = workload.model()
    rows = reference.given(workload)[: workload.rows]
    with Meter() as meter:
        loss = reference.backward(model, rows, len(rows))
    return _outcome(meter, [loss], sum(len(row.answer) for row in rows))


SIDES: dict[str, dict[str, Side]] = {
    "bake": {"ours": ours, "trl": trl, "plain": plain},
    "fresh": {"ours": ours_fresh},
    "pairs": {"ours": ours, "plain": plain},
    "sampling": {"ours": ours_sampling, "plain": plain_sampling},
    "step": {"ours": ours_step, "floor": floor_step, "fitting": fitting_step},
    "train": {"ours": ours_train, "floor": floor_train},
    "memory": {"ours": ours_memory, "plain": plain_memory},
}
"""Kind of work → side → what does it."""


def _rows(workload: Workload) -> Any:
    if workload.samples:
        return create_dataset(workload.questions)
    return create_conversational_dataset(
        [
            {"turns": [{"role": "user", "content": q}], "response": r}
            for q, r in zip(workload.questions, workload.responses, strict=True)
        ]
    )


def _trainer(
    workload: Workload,
    folder: str,
    model: Any,
    rows: Any,
    *,
    reuse: bool = True,
    micro_batch: int = 0,
) -> ContextBakingTrainer:
    rows_at_once = min(workload.rows, micro_batch or workload.rows)
    args = BakeryConfig(
        **workload.training(folder),
        # One example is a question with all its answers.
        per_device_train_batch_size=rows_at_once // max(workload.samples, 1),
        gradient_accumulation_steps=workload.rows // rows_at_once,
        num_trajectories=max(workload.samples, 1),
        trajectory_length=workload.answer,
        sampling_temperature=1.0,
        top_p=1.0,
        reuse_trajectories=reuse,
        first_weights="random",  # as on every other side
    )
    context = ContextConfig(prefix_messages=[{"role": "system", "content": workload.system}])
    return ContextBakingTrainer(model, args, context, rows, processing_class=workload.tokenizer)


def _at_a_step(workload: Workload, folder: str) -> tuple[ContextBakingTrainer, dict[str, Any]]:
    """Return a trainer before its first step, and the batch of it."""
    trainer = _trainer(workload, folder, workload.model(), _rows(workload))
    trainer.start_round(0)
    trainer.model.train()
    return trainer, next(iter(trainer.get_train_dataloader()))


def _bare(workload: Workload, folder: str, loss: Callable[[torch.Tensor], torch.Tensor]) -> Outcome:
    """Time forward and backward without the trainer, on a batch that it made."""
    trainer, batch = _at_a_step(workload, folder)
    model, rows, cols = trainer.model, batch["rows"], batch["cols"]
    # The trainer's own step chooses how attention is computed, and says so to the batch's layout.
    trainer.training_step(model, dict(batch), batch["weights"].sum())
    given = {name: batch[name] for name in MODEL_INPUTS if name in batch}
    head = model.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, args: (args[0][rows, cols],))

    def step() -> None:
        with trainer.support.attending():
            loss(model(**given, use_cache=False).logits).backward()

    return _stepped(trainer, step) | _numerics(trainer)


def _ids(logits_NV: torch.Tensor) -> torch.Tensor:
    return torch.arange(len(logits_NV)) % logits_NV.shape[-1]


def _stepped(trainer: ContextBakingTrainer, step: Callable[[], None]) -> Outcome:
    """Return the median of several steps, each from no gradient to a whole one."""
    cpu_s, wall_s = [], []
    trainer.model.zero_grad(set_to_none=True)
    with Meter() as meter:
        for _ in range(WARM_UP + STEPS):
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            cpu_s.append(time.process_time() - cpu)
            wall_s.append(time.perf_counter() - wall)
            trainer.model.zero_grad(set_to_none=True)
    meter.cpu_s = statistics.median(cpu_s[WARM_UP:])
    meter.wall_s = statistics.median(wall_s[WARM_UP:])
    return _outcome(meter, [], 0, steps=1)


def _outcome(meter: Meter, losses: list[float], tokens: int, **more: Any) -> Outcome:
    ends = {"loss_first": losses[0], "loss_last": losses[-1]} if losses else {}
    return {
        "cpu_s": meter.cpu_s,
        "wall_s": meter.wall_s,
        "grown_mb": meter.grown_mb,
        "exact_memory": meter.exact,
        "imported": meter.imported,
        "tokens": tokens,
        **ends,
        **more,
    }


def _numerics(trainer: ContextBakingTrainer) -> dict[str, Any]:
    """Return which layout, attention and precision the trainer chose, where it has chosen."""
    chosen = trainer.numerics
    return {"numerics": {k: str(v) for k, v in chosen.as_data().items()}} if chosen else {}
