"""The second phase of a bake: on from the student's own answers to the training questions."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from transformers import TrainingArguments
from transformers.trainer_utils import SaveStrategy

from bakery.engine.loss.losses import make_loss
from bakery.engine.teacher import keeping
from bakery.engine.training.metrics import losses, summary
from bakery.engine.training.on_policy import Continuations, OnPolicyTrainer, OwnAnswers, Places
from bakery.engine.training.shown import Send
from bakery.shaping import OnPolicySettings
from bakery.stages import training
from bakery.stages.training import CHECKPOINTS, ON_POLICY, Work
from bakery.store.results import METRICS

SAVE_STEPS = 10
"""Steps of the second phase between two checkpoints."""


def train(work: Work, own: OnPolicySettings, send: Send) -> dict[str, Any]:
    """Go on from the student's own answers to the training questions; return what is said of it.

    Answers are sampled as those of the target were, and scored by the parent behind its prompt.
    """
    pairs, folder = work.mixture.train, work.out / CHECKPOINTS / ON_POLICY
    before = work.worker.of_first(len(losses(work.out / METRICS)))
    given = _arguments(work, own, folder)
    places = Places([()] * len(pairs), keeping.live(*work.taught_by, pairs))
    made = training.trainer(OnPolicyTrainer, work, given, make_loss(own.loss), places)
    training.watch(made, work, send, before=before, phase=ON_POLICY)
    prompts = Continuations(pairs, work.mixture.sampling, seed=work.settings.seed)
    made.learn_from(OwnAnswers(prompts, work.base.chat))
    training.go_on(made, folder, "the on-policy phase", work.reporter)
    seen = work.worker.of_first(losses(work.out / METRICS, ON_POLICY))
    figures = {f"{name}_loss": value for name, value in summary(seen).items()}
    return {ON_POLICY: {"after": before, **asdict(own), **figures}}


def _arguments(work: Work, own: OnPolicySettings, folder: Path) -> TrainingArguments:
    settings = replace(work.settings, learning_rate=own.learning_rate)
    request = replace(work.request, training=settings)
    asked = training.arguments(replace(work, request=request), folder, own=own.steps)
    asked.max_steps = own.steps
    asked.save_strategy, asked.save_steps = SaveStrategy.STEPS, SAVE_STEPS
    return asked
