"""What one epoch has not taught is learnt again: names, numbers, refusals.

One token decides them, which hardly moves the mean over all. So every question that input.yml
writes out is looked at once more: those are what the prompt is for, where one that a model drew may
be answered by chance. Where another token is likely said, the question is trained on again, with as
many others beside it, for a few rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers.trainer_utils import SaveStrategy

from bakery.engine import numerics
from bakery.engine.examples import Examples
from bakery.engine.trainer import BakingTrainer
from bakery.engine.views import Pair
from bakery.engine.wandb_run import Send
from bakery.identity import Relearn, short_id
from bakery.stages import measured, training
from bakery.stages.measured import Measured
from bakery.stages.mix import question_of
from bakery.stages.training import Work

PHASE = "relearn"


@dataclass(frozen=True, slots=True)
class Learnt:
    """How near the questions that were trained on are, and what it took to bring them there."""

    measured: Measured
    step: int
    """The last one."""
    rounds: tuple[int, ...] = ()
    """How many questions were learnt again in each round."""

    def as_data(self) -> dict[str, Any]:
        """Return what bake.json says."""
        return {PHASE: {"questions": list(self.rounds)}} if self.rounds else {}


def learn(work: Work, asked: Relearn | None, send: Send, *, step: int) -> Learnt:
    """Look at what was trained on, and learn again what is not learnt; `step` is the last one."""
    answers = measured.trained_on(work.mixture)
    looked_at = [pair for pair in answers if _is_written_out(work, pair)]
    now = _measured(work, looked_at)
    rounds: list[int] = []
    while asked is not None and len(rounds) < asked.rounds:
        far = {key for key in now if now[key].worst >= asked.nats}
        if not far:
            break
        work.reporter.note(f"not learnt yet, and learnt again: {len(far)} of {len(now)} questions")
        step = _round(work, far, send, step=step, number=len(rounds))
        rounds.append(len(far))
        now = _measured(work, looked_at)
    others = [pair for pair in answers if not _is_written_out(work, pair)]
    return Learnt(now | _measured(work, others), step, tuple(rounds))


def _is_written_out(work: Work, pair: Pair) -> bool:
    return work.mixture.stimuli[question_of(pair)].generator == "hardcoded"


def _round(work: Work, far: set[str], send: Send, *, step: int, number: int) -> int:
    """Train on all answers to some questions, and on as many others; return the last step."""
    trainer = BakingTrainer(
        work.student,
        _arguments(work, pairs := _chosen(work, far, number)),
        readout=work.readout,
        loss=training.loss_of(work.settings),
        train_dataset=Examples([[pair] for pair in pairs], work.record),
        pad_id=work.base.chat.pad_id,
        numerics=work.out / numerics.FILE,
    )
    training.watch(trainer, work, send, before=step, phase=PHASE)
    trainer.train()
    return step + int(trainer.state.global_step)


def _chosen(work: Work, far: set[str], number: int) -> Sequence[Pair]:
    """Return the answers to some questions, and as many others that hold the rest where it is."""
    own = [pair for pair in work.mixture.train if question_of(pair) in far]
    others = [pair for pair in work.mixture.train if question_of(pair) not in far]
    others.sort(key=lambda pair: short_id([PHASE, work.settings.order_seed, number, pair.key]))
    return sorted([*own, *others[: len(own)]], key=lambda pair: pair.key)


def _arguments(work: Work, pairs: Sequence[Pair]) -> Any:
    """Return what the trainer is told: one epoch, with the batch of the whole."""
    settings = replace(work.settings, epochs=1)
    smaller = replace(
        work,
        request=replace(work.request, training=settings),
        mixture=replace(work.mixture, train=list(pairs)),
    )
    arguments = training.arguments(smaller, work.out / training.CHECKPOINTS / PHASE)
    arguments.save_strategy = SaveStrategy.NO  # a round is short
    return arguments


def _measured(work: Work, pairs: Sequence[Pair]) -> Measured:
    return measured.measure(
        work.student,
        work.readout,
        work.record,
        pairs,
        reporter=work.reporter,
        label="measuring what was learnt",
    )
