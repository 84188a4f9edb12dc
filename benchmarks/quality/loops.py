"""Two plain loops: the seed's way to bake with its defaults, and ordinary fine-tuning.

Shapes: L answer tokens · V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import reference
from benchmarks.quality.cases import Case
from benchmarks.quality.exam import base_of, folder_of, generated, prefix_ids
from benchmarks.quality.watch import Watch
from benchmarks.reference import Row

EPOCHS = 3
ANSWERS, QUESTIONS_A_STEP = 4, 8
"""Of the seed: answers to each question, and questions of one step."""
RATE, BATCH, AT_ONCE = 1e-3, 4, 16
"""Of fine-tuning; so many answers are sampled in one call."""


def seed_loop(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Bake as the seed does: answers one by one, anew in each epoch, both models at each step."""
    place = folder_of(base_of(case))
    watch.begin()
    model, tokenizer = _loaded(place, seed, r=64, alpha=128, dropout=0.05)
    sampling = {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "top_k": 0}

    def step(questions: Sequence[str]) -> None:
        asked = [question for question in questions for _ in range(ANSWERS)]
        rows = _answered(case, model, tokenizer, asked, 1, sampling)
        for batch in reference.micro(rows):
            reference.backward(model, batch, len(rows))

    _train(case, watch, model, list(case.train), QUESTIONS_A_STEP, 1e-4, seed, step)


def fine_tuning(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Learn the teacher's answers by cross-entropy, as ordinary fine-tuning does."""
    place = folder_of(base_of(case))
    watch.begin()
    model, tokenizer = _loaded(place, seed, r=32, alpha=64, dropout=0.0)
    sampling = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
    rows = _answered(case, model, tokenizer, case.train, AT_ONCE, sampling)

    def step(batch: Sequence[Row]) -> None:
        logits_BTV = reference.logits(model, [(row.student, row.answer) for row in batch])
        found_NV = torch.cat(
            [
                reference.at_answer(logits_LV, len(row.student), len(row.answer))
                for row, logits_LV in zip(batch, logits_BTV, strict=True)
            ]
        )
        F.cross_entropy(found_NV, torch.tensor([i for row in batch for i in row.answer])).backward()

    _train(case, watch, model, rows, BATCH, RATE, seed, step)


def _loaded(place: Path, seed: int, *, r: int, alpha: int, dropout: float) -> tuple[Any, Any]:
    """Return the model with a fresh adapter, and its tokenizer."""
    base = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    torch.manual_seed(seed)
    adapter = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, adapter), AutoTokenizer.from_pretrained(place)


def _answered(
    case: Case,
    model: Any,
    tokenizer: Any,
    questions: Sequence[str],
    at_once: int,
    sampling: dict[str, Any],
) -> list[Row]:
    """Have the prompted model answer, so many questions in one call."""
    teacher = [prefix_ids(tokenizer, case.prompt, question) for question in questions]
    student = [prefix_ids(tokenizer, (), question) for question in questions]
    answers: list[list[int]] = []
    model.eval()
    with model.disable_adapter():
        for at in range(0, len(teacher), at_once):
            asked = teacher[at : at + at_once]
            answers += generated(model, tokenizer, asked, case.answer, **sampling)
    model.train()
    return [Row(*parts) for parts in zip(teacher, student, answers, strict=True)]


def _train(
    case: Case,
    watch: Watch,
    model: Any,
    data: list[Any],
    at_once: int,
    rate: float,
    seed: int,
    step: Callable[[Sequence[Any]], None],
) -> None:
    """Go through the data in batches, with a rate that falls to nothing in even steps."""
    epochs = case.epochs or EPOCHS
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=rate, weight_decay=0.0)
    steps = epochs * -(-len(data) // at_once)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    watch.look(0, model)
    batches = _batches(data, at_once, epochs, random.Random(seed))
    for number, batch in enumerate(batches, start=1):
        step(batch)
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        watch.look(number, model)


def _batches(
    data: list[Any], at_once: int, epochs: int, drawn: random.Random
) -> Iterator[list[Any]]:
    for _ in range(epochs):
        mixed = drawn.sample(data, len(data))
        yield from (mixed[at : at + at_once] for at in range(0, len(mixed), at_once))
