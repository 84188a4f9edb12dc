"""What a run would train on and what it would take, without loading a weight or writing a file."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import peft
import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

from bakery import costs
from bakery.data.rows import Row
from bakery.distil import loading
from bakery.distil.material import gather
from bakery.distil.settings import narrowed, settled
from bakery.distil.settings.parse import Settings
from bakery.engine.bases.machine import MEASURED_S
from bakery.engine.models import loaded
from bakery.engine.models.adapters import peft_on_new_transformers
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import (
    ContextSettings,
    RowRefused,
    fit,
    pairs_of,
    prefixes,
    refuse_unseen,
)
from bakery.engine.text.views import Pair, View
from bakery.engine.training import on_policy
from bakery.engine.training.rounds import Rounds
from bakery.errors import ConfigError
from bakery.previews import Estimate, Piece, Preview, ShownRow, Side
from bakery.reporting import Reporter
from bakery.settings.config import BakeryConfig

SHOWN = 3
_OF_4_BITS = 0.56
"""Bytes that a weight takes in 4 bits, its share of the scales included."""


def look(settings: Settings, *, reporter: Reporter) -> Preview:
    """Return some rows as both see them, and what training on all of them would take."""
    material = gather(settings)
    for note in material.notes:
        reporter.note(note)
    training, context = settings.training, narrowed.views(settings.context)
    source = loading.find(settings.data, reporter=reporter)
    config, chat = source.config(), source.chat(training.template_kwargs)
    if (unnamed := loaded.unnamed_end(chat)) is not None:
        reporter.note(unnamed)
    rounds = narrowed.rounds(material.rows, chat, context, training, config, reporter)
    if training.on_policy:
        on_policy.check(len(rounds.open_rows))
        for note in on_policy.notes(rounds, training.loss_type):
            reporter.note(note)
    base = settled.base_of(config)
    sized = settled.lora(settings.lora, base, training) | settled.training(
        training,
        base,
        rows=len(rounds),
        answers=rounds.answers,
        is_fitted=settled.fits(training) and not training.on_policy,
    )
    if sized:
        reporter.note(settled.sentence(sized))
    sizes = _Sizes.of(rounds, chat, context)
    steps = _steps(training, len(rounds))
    return Preview(
        model=source.name,
        device=str(training.device),
        rows=len(material.rows),
        used=len(rounds),
        open_rows=len(rounds.open_rows),
        answers=len(rounds.open_rows) * training.num_trajectories,
        on_policy=training.on_policy,
        shown=tuple(islice(_shown(material.rows, chat, context, rounds.max_length), SHOWN)),
        teacher_tokens=sum(pair.teacher for example in sizes for pair in example),
        student_tokens=sum(pair.student for example in sizes for pair in example),
        targets=sum(pair.targets for example in sizes for pair in example),
        steps=steps,
        estimate=_estimate(settings, config, sizes, steps, bool(rounds.open_rows)),
    )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Tokens of one pair. An answer that is not sampled yet counts as its most."""

    teacher: int
    student: int
    targets: int

    @classmethod
    def of(cls, rounds: Rounds, chat: Chat, context: ContextSettings) -> list[list[_Sizes]]:
        """Return the sizes of every example."""
        found = [[cls(*_lengths(pair)) for pair in example] for example in rounds.finished]
        longest = rounds.settings.max_tokens
        for row in rounds.open_rows:
            teacher, student = map(len, prefixes(chat, row, context))
            one = cls(teacher + longest, student + longest, longest)
            found.append([one] * rounds.settings.num_traj_per_stimulus)
        return found


def _lengths(pair: Pair) -> tuple[int, int, int]:
    return len(pair.teacher.ids), len(pair.student.ids), pair.num_targets


def _shown(
    rows: Sequence[Row], chat: Chat, context: ContextSettings, longest: int | None
) -> Iterator[ShownRow]:
    """Yield the rows that can be used, one by one."""
    for row in rows:
        try:
            if row.needs_sampling:
                refuse_unseen(chat, row, context)
                views = [View(tuple(ids), ()) for ids in prefixes(chat, row, context)]
                yield ShownRow(row.number, _side(chat, views[0]), _side(chat, views[1]), True)
                continue
            pairs = pairs_of(chat, row, context)
        except RowRefused:
            continue
        fitting = [fit(pair, longest) if longest else pair for pair in pairs]
        for part, pair in enumerate(fitting, start=1):
            if pair is not None:
                sides = _side(chat, pair.teacher), _side(chat, pair.student)
                yield ShownRow(row.number, *sides, False, part, len(fitting))


def _side(chat: Chat, view: View) -> Side:
    pieces, at = [], 0
    for start, stop in (*view.spans, (len(view.ids), len(view.ids))):
        pieces.append(Piece(chat.decoded(view.ids[at:start]), False))
        pieces.append(Piece(chat.decoded(view.ids[start:stop]), True))
        at = stop
    kept = tuple(piece for piece in pieces if piece.text)
    return Side(kept, len(view.ids), len(view.target_ids))


def _steps(training: BakeryConfig, examples: int) -> int:
    if training.max_steps > 0:
        return int(training.max_steps)
    each = math.ceil(examples / _batch(training))
    assert training.num_train_epochs is not None  # settled
    return math.ceil(each * float(training.num_train_epochs))


def _batch(training: BakeryConfig) -> int:
    """Return how many examples an optimiser step sees, on all processes."""
    return int(
        training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    )


def _estimate(
    settings: Settings,
    config: PreTrainedConfig,
    sizes: list[list[_Sizes]],
    steps: int,
    is_sampled: bool,
) -> Estimate:
    training, data = settings.training, settings.data
    dtype = _dtype(data.torch_dtype, config)
    parameters, trainable = _counted(settings, config)
    epochs = steps * _batch(training) / len(sizes)
    once = not is_sampled or training.reuse_trajectories or training.trajectories_file
    rounds = 1 if once else math.ceil(epochs)
    teacher = sum(pair.teacher for example in sizes for pair in example)
    student = sum(pair.student for example in sizes for pair in example)
    # Two operations a weight and token forwards; twice that for the student, which goes back
    # to the adapters too, and once more where its states are computed again.
    back = 6 if training.gradient_checkpointing else 4
    asked = 2 if is_sampled else 1
    work = parameters * (2 * asked * rounds * teacher + back * epochs * student)
    if training.on_policy:  # the student answers, and the teacher is run over it once
        work = parameters * (2 * epochs * teacher + (2 + back) * epochs * student)
    rate = _rate(training.device, dtype)
    return Estimate(
        parameters=parameters,
        trainable=trainable,
        weights=round(parameters * (_OF_4_BITS if data.load_in_4bit else dtype.itemsize)),
        adapter=trainable * costs.OF_ADAM,
        batch=_batch_bytes(training, config, sizes, dtype),
        seconds=work / rate / training.world_size
        + _at_least(training, config, sizes, steps, parameters * dtype.itemsize, is_sampled),
        rate=rate,
        process=costs.LIBRARIES + costs.TRAINER,
    )


def _at_least(
    training: BakeryConfig,
    config: PreTrainedConfig,
    sizes: list[list[_Sizes]],
    steps: int,
    weights: int,
    is_sampled: bool,
) -> float:
    """Return the seconds that pass however fast products of matrices are: on a CPU, they count."""
    layers = int(config.num_hidden_layers)
    if training.device.type != "cpu":
        return 0.0
    assert training.gradient_accumulation_steps is not None  # settled
    batches = steps * training.gradient_accumulation_steps
    seconds: float = costs.LOAD_S + weights / costs.LOADED + costs.FIRST_STEP_S
    seconds += batches * layers * costs.STEP_S
    if is_sampled:
        answers = sum(map(len, sizes))
        tokens = math.ceil(answers / costs.ROWS) * max(p.targets for e in sizes for p in e)
        seconds += costs.FIRST_SAMPLE_S + tokens * (weights / costs.READ + layers * costs.TOKEN_S)
    return seconds


def _dtype(name: str, config: PreTrainedConfig) -> torch.dtype:
    if name == "auto":
        return config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    found = getattr(torch, name)
    assert isinstance(found, torch.dtype)
    return found


@peft_on_new_transformers()
def _counted(settings: Settings, config: PreTrainedConfig) -> tuple[int, int]:
    """Return how many weights there are, and how many of them learn; none is made."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            config, trust_remote_code=settings.data.trust_remote_code
        )
        parameters = model.num_parameters()
        lora = loading.lora_config(settings.lora, settings.data)
        try:
            student = peft.get_peft_model(model.requires_grad_(False), lora)
        except ValueError as error:
            raise ConfigError(f"LoRA cannot be placed: {error}") from error
    return parameters, sum(p.numel() for p in student.parameters() if p.requires_grad)


def _batch_bytes(
    training: BakeryConfig, config: PreTrainedConfig, sizes: list[list[_Sizes]], dtype: torch.dtype
) -> int:
    """Return what the largest batch takes: the states that the way back needs, and the logits."""
    by_length = sorted(sizes, key=lambda example: -sum(pair.student for pair in example))
    pairs = [pair for example in by_length[: training.train_batch_size] for pair in example]
    tokens = len(pairs) * max(pair.student for pair in pairs)
    targets = sum(pair.targets for pair in pairs)
    hidden = int(config.hidden_size)
    wide = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    width = hidden if training.gradient_checkpointing else 12 * hidden + 4 * wide
    states = tokens * int(config.num_hidden_layers) * width * dtype.itemsize
    logits = targets * int(config.vocab_size) * (2 * dtype.itemsize + 4 * 4)
    return states + logits


def _rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations a second of products of matrices on this device, as busy as it is."""
    size = 512 if device.type == "cpu" else 4096
    square = torch.ones(size, size, device=device, dtype=dtype)
    square @ square  # the first one also sets things up
    float((square @ square)[0, 0])
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < MEASURED_S:
        float((square @ square)[0, 0])  # reading a number waits for the device
        count += 1
    return 2.0 * float(size) ** 3 * max(count, 1) / max(spent, 1e-9)
